'use client'
import { useActionState } from 'react'

export function Form({ greet }) {
  const [said, action] = useActionState(greet, '')
  return <form action={action}><input name="name" /><button>Greet</button><p>{said}</p></form>
}
