'use server'

export async function greet(before, form) {
  return `Hello, ${form.get('name')}`
}
