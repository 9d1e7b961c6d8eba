export default async function ({ view }) {
  await view.getByText('open', { exact: true }).waitFor()
  await view.locator('#text').fill('hello')
  await view.locator('button').click()
  await view.getByText('HELLO').waitFor()
}
