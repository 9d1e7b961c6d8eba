// Reading a preview address.

import { lookup } from 'node:dns/promises'
import { request } from 'node:http'

// What a preview answers, also where the system does not know its name. link has url and token.
export async function fetched(link, path) {
  const url = new URL(link.url)
  const known = await lookup(url.hostname).then(() => true, () => false)
  const options = { host: known ? url.hostname : '127.0.0.1', port: url.port || 80, path: url.pathname.replace(/\/$/, '') + path }
  const headers = { Host: url.host, 'X-Daytona-Preview-Token': link.token }
  return new Promise((resolve, reject) => {
    const asked = request({ ...options, headers, timeout: 20_000 }, (answer) => {
      let text = ''
      answer.on('data', (chunk) => (text += chunk)).on('end', () => resolve(text))
    })
    asked.on('error', reject).on('timeout', () => asked.destroy(new Error('no answer within 20 s'))).end()
  })
}
