export default async function ({ view }) {
  await view.getByLabel('name').fill('Ada')
  await view.getByRole('button', { name: 'Submit' }).click()
  await view.waitForFunction(() => [...document.querySelectorAll('textarea, input')].some((e) => e.value === 'Hello, Ada'))
}
