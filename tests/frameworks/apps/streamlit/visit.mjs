export default async function ({ view }) {
  await view.getByLabel('Name').fill('Ada')
  await view.getByLabel('Name').press('Enter')
  await view.getByText('Hello, Ada').waitFor()
  await view.locator('input[type=file]').setInputFiles({ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.alloc(5000) })
  await view.getByText('5000 bytes came').waitFor()
}
