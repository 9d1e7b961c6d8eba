export default async function ({ view }) {
  await view.getByText('heard hello').waitFor()
}
