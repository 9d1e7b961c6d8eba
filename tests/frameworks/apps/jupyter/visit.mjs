// The page's own, in this release.
export const ignore = /reading 'schema'/

export default async function ({ view, unique }) {
  await view.locator('#password_input').fill('secret')
  await view.locator('#login_submit').click()
  await view.locator('[data-status=idle]').first().waitFor({ state: 'attached' }) // the kernel
  const cell = view.locator('.jp-Notebook .jp-CodeCell .cm-content').first()
  const printed = view.locator('.jp-OutputArea-output').getByText(`42 ${unique}`)
  for (let tries = 1; tries <= 10; tries++) { // until the kernel's connection and the file are there, the page drops silently what it is told
    await cell.fill(`print(6 * 7, "${unique}")`)
    await cell.press('Control+Enter')
    if (await printed.waitFor({ timeout: 3000 }).then(() => true, () => false)) return
  }
  throw new Error('the cell did not run')
}
