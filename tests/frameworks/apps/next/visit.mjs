export default async function ({ view, write, unique }) {
  await view.locator('[data-ready=true]').waitFor()
  await view.locator('[name=name]').fill('Ada')
  await view.getByRole('button', { name: 'Greet' }).click()
  await view.getByText('Hello, Ada').waitFor()
  await view.evaluate(() => { window.kept = true })
  await write('app/text.js', `export const text = '${unique}'\n`)
  await view.getByText(unique).waitFor()
  if (!(await view.evaluate(() => window.kept))) throw new Error('the page was loaded anew')
}
