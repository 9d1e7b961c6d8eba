export default async function ({ view, go, reload, unique }) {
  await go('admin/')
  await view.locator('#id_username').fill('ada')
  await view.locator('#id_password').fill('secret')
  await view.getByRole('button', { name: 'Log in' }).click()
  await view.getByRole('heading', { name: 'Site administration' }).waitFor()
  await reload()
  await view.getByRole('heading', { name: 'Site administration' }).waitFor() // still signed in
  await view.getByRole('row', { name: 'Groups' }).getByRole('link', { name: 'Add' }).click()
  await view.locator('#id_name').fill(unique)
  await view.getByRole('button', { name: 'Save', exact: true }).click()
  await view.getByText('was added successfully').waitFor()
}
