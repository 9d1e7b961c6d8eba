// The page's own, in this release.
export const ignore = /reading 'schema'/

export default async function ({ view, unique }) {
  await view.locator('#password_input').fill('secret')
  await view.locator('#login_submit').click()
  await view.locator('[data-status=idle]').first().waitFor({ state: 'attached' }) // the kernel
  const cell = view.locator('.jp-Notebook .jp-CodeCell .cm-content').first()
  await cell.fill(`print(6 * 7, "${unique}")`)
  const printed = view.locator('.jp-OutputArea-output').getByText(`42 ${unique}`)
  for (let tries = 1; ; tries++) { // the page drops a cell silently that is run before all of the kernel's connection is there
    await cell.press('Control+Enter')
    if (await printed.waitFor({ timeout: 3000 }).then(() => true, () => tries === 10)) break
  }
  await printed.waitFor()
}
