import { text } from './text.js'

const show = () => { document.getElementById('text').textContent = text }
show()
import.meta.webpackHot.accept('./text.js', show)
