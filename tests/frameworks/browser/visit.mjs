// Opens one app in Chromium, does what a user does there, and prints the outcome as JSON:
//
//   node visit.mjs '{"visit": "/…/apps/vite/visit.mjs", "link": "http://…", "outside": "http://…/frame", "files": "http://…", "key": "…", "shot": "a.png"}'
//
// visit is a module whose default function does the steps; see Visit below for what it is handed. link is the address to open. outside, where
// it is not "", is a page of another site that shows link in a frame. files is the toolbox's address for the app's folder; key opens that.
import { randomUUID } from 'node:crypto'
import { chromium } from 'playwright-core'

const patience = 30_000 // ms for each step
const task = JSON.parse(process.argv[2])
const { default: visit, ignore = /^$/ } = await import(task.visit)

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
  args: [
    '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update',
    '--test-third-party-cookie-phaseout', // as browsers that block the cookies of other sites
  ],
})
const page = await (await browser.newContext()).newPage()
page.setDefaultTimeout(patience)

// What a browser that is strict with frames of other sites says of them, whatever server they are from.
const ofFrames = task.outside ? /Access is denied for this document|Blocked autofocusing/ : /^$/

// What a developer would see in red. The machine has no internet, so what an app wants from there is no fault.
const problems = []
const isHere = (url) => !URL.canParse(url) || /^(localhost|127\.[\d.]+|\[::1?\]|0\.0\.0\.0|.*\.localhost)$/.test(new URL(url).hostname)
const note = (what, url) => {
  const text = `${what}${url ? ` (${url})` : ''}`.replaceAll(/DAYTONA_SANDBOX_AUTH_KEY=\w+/g, 'DAYTONA_SANDBOX_AUTH_KEY=…')
  if (isHere(url ?? '') && !/\/favicon\.ico/.test(url) && !ignore.test(text) && !ofFrames.test(text) && !problems.includes(text)) problems.push(text)
}
page.on('response', (r) => { if (r.status() >= 400) note(`${r.request().method()} answered ${r.status()}`, r.url()) })
page.on('requestfailed', (r) => { if (r.failure().errorText !== 'net::ERR_ABORTED') note(`${r.method()} failed: ${r.failure().errorText}`, r.url()) })
page.on('console', (m) => { if (m.type() === 'error') note(`console: ${m.text()}`, m.location().url) })
page.on('pageerror', (e) => note(`page: ${e.message}`))
page.on('websocket', (ws) => ws.on('socketerror', (e) => {
  if (!/closed before the connection is established/.test(e)) note(`websocket: ${e}`, ws.url()) // the page thought better of it
}))

let why = ''
const began = Date.now()
try {
  await page.goto(task.outside ? `${task.outside}?${new URLSearchParams({ link: task.link })}` : task.link, { waitUntil: 'domcontentloaded' })
  const view = task.outside ? await (await page.waitForSelector('iframe')).contentFrame() : page.mainFrame()
  const byPage = async (move, arg) => {
    const done = view.waitForNavigation({ waitUntil: 'load' })
    await view.evaluate(move, arg).catch(() => {}) // the page that is left can no longer answer
    await done
  }
  // Visit: view is the page or frame; go, back and reload are done by the page itself, as links are; write changes a file in the app's folder
  // of the sandbox; unique is a text that no other visit has.
  await visit({
    view,
    unique: `text-${randomUUID().slice(0, 8)}`,
    go: (path) => byPage((path) => { location.href = new URL(path, location.href) }, path),
    back: () => byPage(() => history.back()),
    reload: () => byPage(() => location.reload()),
    write: async (name, text) => {
      const headers = { Authorization: `Bearer ${task.key}` }
      const answer = await fetch(task.files + name, { method: 'POST', headers, body: text })
      if (!answer.ok) throw new Error(`writing ${name}: ${answer.status} ${await answer.text()}`)
    },
  })
  if (page.url().includes('DAYTONA_SANDBOX_AUTH_KEY=') && !task.outside) why = `the address still shows the token`
} catch (e) {
  why = e.message.split('\n').slice(0, 4).join('; ').replaceAll(/\x1b\[\d+m/g, '')
}
const took = Date.now() - began
const text = await page.frames().at(-1)?.evaluate(() => document.body?.innerText.slice(0, 300)).catch(() => '')
const address = page.frames().at(-1)?.url()
await page.screenshot({ path: task.shot }).catch((e) => note(`screenshot: ${e.message}`))
await browser.close()
console.log(JSON.stringify({ why, problems, took, text, address }))
