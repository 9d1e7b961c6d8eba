// Reading a preview address.

import { lookup } from 'node:dns/promises'
import { request } from 'node:http'

// What a preview answers. link has url and token.
export async function fetched(link, path) {
  const { text } = await visited(link.url.replace(/\/$/, '') + path, { 'X-Daytona-Preview-Token': link.token })
  return text
}

// Status and text of what an address answers, also where the system does not know its name.
export async function visited(address, headers = {}) {
  const url = new URL(address)
  const known = await lookup(url.hostname).then(() => true, () => false)
  const options = { host: known ? url.hostname : '127.0.0.1', port: url.port || 80, path: url.pathname + url.search }
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, headers: { Host: url.host, ...headers }, timeout: 20_000 }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve({ status: answer.statusCode, text }))
    })
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer within 20 s'))).end()
  })
}
