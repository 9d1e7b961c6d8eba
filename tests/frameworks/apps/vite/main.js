import { text } from './text.js'

const show = (text) => { document.getElementById('text').textContent = text }
show(text)
import.meta.hot.accept('./text.js', (changed) => show(changed.text))
