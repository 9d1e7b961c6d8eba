import { Form } from './form'
import { greet } from './greet'
import { text } from './text'

export default function Page() {
  return <main><p id="text">{text}</p><Form greet={greet} /></main>
}
