export default async function ({ view, back }) {
  for (const name of ['Items', 'Moved', 'Moved']) {
    await view.getByRole('link', { name }).click()
    await view.getByText('All items').waitFor()
    await back()
  }
  await view.getByRole('button', { name: 'Fetch' }).click()
  await view.getByText('fetched: <p>All items').waitFor()
  await view.locator('input').fill('pear')
  await view.getByRole('button', { name: 'Add' }).click()
  await view.getByText('Added pear').waitFor()
}
