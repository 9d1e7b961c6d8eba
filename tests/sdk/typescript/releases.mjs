// The small program that every release of the TypeScript SDK from 0.18 on must do, as ../python/releases.py. Prints "ok" and the version.
//
// Usage: node releases.mjs PACKAGE. What a release has under another name, or not at all, is found out by looking.

import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { sep } from 'node:path'

import { fetched } from './preview.mjs'

const require = createRequire(import.meta.url)
const name = process.argv[2]
const { Daytona } = require(name)
const folder = require.resolve(name).split(`node_modules${sep}${name}${sep}`)[0]
const { version } = JSON.parse(readFileSync(`${folder}node_modules/${name}/package.json`, 'utf8'))
const client = new Daytona()
const same = assert.deepEqual
const [one, two] = [randomUUID(), randomUUID()] // labels

// Ids of the sandboxes with labels, by whichever list this release has: an iterator, a page, or a plain list.
async function listed(labels) {
  const [major, minor] = version.split('.').map(Number)
  const found = await client.list(major > 0 || minor >= 187 ? { labels } : labels)
  const ids = []
  for await (const item of found.items ?? found) ids.push(item.id)
  return ids
}

const box = await client.create({ language: 'python', labels: { release: one }, envVars: { A: 'b' } })
const p = box.process
// What a command prints, without the last line's end, which some releases cut off.
const output = async (command) => (await p.executeCommand(command, undefined, undefined, 20)).result.trim()
const names = async (path) => (await box.fs.listFiles(path)).map((f) => f.name).sort()
const sessions = async () => (await p.listSessions()).map((s) => s.sessionId).filter((id) => id !== 'entrypoint')
try {
  same(box.state, 'started')

  const ran = await p.executeCommand('echo $A; exit 3')
  same([ran.exitCode, ran.result.trim()], [3, 'b'])
  same((await p.executeCommand('pwd; echo $B', '/tmp', { B: 'c' })).result.trim(), '/tmp\nc')
  same((await p.codeRun('print(6 * 7)')).result.trim(), '42')
  same((await p.codeRun('raise SystemExit(4)')).exitCode, 4)

  const root = await (box.getWorkDir ?? box.getUserRootDir).call(box)
  same(await output('pwd'), root)
  await box.fs.createFolder('folder', '755')
  const bytes = Buffer.from('bytes \0\xff', 'latin1')
  await box.fs.uploadFile(bytes, 'folder/a.bin')
  same(await box.fs.downloadFile('folder/a.bin'), bytes)
  same(await output(`wc -c < ${root}/folder/a.bin`), '8')
  const big = Buffer.alloc(2 << 20, Uint8Array.from({ length: 256 }, (_, i) => i))
  await box.fs.uploadFiles([{ source: Buffer.from('one line\n'), destination: 'folder/b.txt' }, { source: big, destination: 'folder/big' }])
  assert(big.equals(await box.fs.downloadFile('folder/big')), 'a file of 2 MiB')
  same(await names('folder'), ['a.bin', 'b.txt', 'big'])
  same((await box.fs.getFileDetails('folder/a.bin')).size, 8)
  same((await box.fs.findFiles('folder', 'one line')).map((m) => m.line), [1])
  same((await box.fs.searchFiles('folder', '*.txt')).files.map((f) => f.split('/').pop()), ['b.txt'])
  same((await box.fs.replaceInFiles(['folder/b.txt'], 'one', 'two'))[0].success, true)
  await box.fs.setFilePermissions('folder/b.txt', { mode: '600' })
  await box.fs.moveFiles('folder/b.txt', 'folder/c.txt')
  same(await output('stat -c %a folder/c.txt; cat folder/c.txt'), '600\ntwo line')
  await box.fs.deleteFile('folder/c.txt')
  same(await names('folder'), ['a.bin', 'big'])

  await p.createSession('s')
  await p.executeSessionCommand('s', { command: 'cd /tmp; X=1' })
  const second = await p.executeSessionCommand('s', { command: 'echo $X; pwd; (exit 5)' })
  same(second.exitCode, 5)
  const logs = await p.getSessionCommandLogs('s', second.cmdId)
  same((typeof logs === 'string' ? logs : (logs.stdout ?? logs.output)).trim(), '1\n/tmp')
  same((await p.getSessionCommand('s', second.cmdId)).exitCode, 5)
  same((await p.getSession('s')).commands.length, 2)
  same(await sessions(), ['s'])
  const serve = 'cd /tmp && echo page > page && exec python3 -m http.server 8123'
  const server = await p.executeSessionCommand('s', { command: serve, runAsync: true })
  same(await output('until curl -sf localhost:8123/page; do sleep 0.05; done'), 'page')
  assert((await p.getSessionCommand('s', server.cmdId)).exitCode == null, 'a server that runs has an exit code')
  same(await fetched(await box.getPreviewLink(8123), '/page'), 'page\n')
  await p.deleteSession('s')
  same(await sessions(), [])

  same((await p.executeCommand('git init -q -b main repo && echo text > repo/a.txt')).exitCode, 0)
  await box.git.add('repo', ['a.txt'])
  same((await box.git.status('repo')).fileStatus.map((f) => f.name), ['a.txt'])
  await box.git.commit('repo', 'first', 'A', 'a@example.com')
  same(await output("git -C repo log --format='%an %ae %s'"), 'A a@example.com first')
  await box.git.createBranch('repo', 'next')
  await box.git.checkoutBranch('repo', 'next')
  same((await box.git.status('repo')).currentBranch, 'next')
  same((await box.git.branches('repo')).branches.sort(), ['main', 'next'])
  await box.git.clone(`${root}/repo`, 'copy')
  same(String(await box.fs.downloadFile('copy/a.txt')), 'text\n')

  same((await client.get(box.id)).id, box.id)
  same(await listed({ release: one }), [box.id])
  same(await listed({ release: 'none' }), [])
  same(await box.setLabels({ release: two }), { release: two })
  same(await listed({ release: two }), [box.id])
  await box.setAutostopInterval(30)
  await box.refreshData()
  same([box.autoStopInterval, box.labels], [30, { release: two }])

  await box.stop()
  same(box.state, 'stopped')
  await box.start()
  same(box.state, 'started')
  same(await output('cat repo/a.txt'), 'text')
} finally {
  await box.delete()
}
const left = await client.get(box.id).then((b) => b.state, () => 'destroyed') // 404
assert(['destroying', 'destroyed'].includes(left), left)
process.stdout.write(`ok ${version}\n`, () => process.exit(0))
