'use client'
import { useActionState, useEffect, useState } from 'react'

export function Form({ greet }) {
  const [said, action] = useActionState(greet, '')
  const [ready, setReady] = useState(false) // before that the browser sends the form itself
  useEffect(() => setReady(true), [])
  return <form action={action} data-ready={ready}><input name="name" /><button>Greet</button><p>{said}</p></form>
}
