// The page's own, in this release.
export const ignore = /reading 'schema'/

export default async function ({ view, unique }) {
  await view.locator('#password_input').fill('secret')
  await view.locator('#login_submit').click()
  await view.locator('[data-status=idle]').first().waitFor({ state: 'attached' }) // the kernel
  const cell = view.locator('.jp-Notebook .jp-CodeCell .cm-content').first()
  await cell.fill(`print(6 * 7, "${unique}")`)
  await cell.press('Shift+Enter')
  await view.locator('.jp-OutputArea-output').getByText(`42 ${unique}`).waitFor()
}
