export default async function ({ view, write, unique }) {
  await view.locator('#text:not(:empty)').waitFor()
  await view.evaluate(() => { window.kept = true })
  await write('text.js', `export const text = '${unique}'\n`)
  await view.getByText(unique).waitFor()
  if (!(await view.evaluate(() => window.kept))) throw new Error('the page was loaded anew')
}
