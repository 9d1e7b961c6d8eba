// Call every public method of the installed @daytona/sdk package once, and print what became of each as JSON.
//
// Usage: node methods.mjs. The server and key come from DAYTONA_API_URL and DAYTONA_API_KEY. The line it prints is that of
// ../python/methods.py. The methods are those that the package declares, so one that is not called here is listed as a failure.

import { randomUUID } from 'node:crypto'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'

const require = createRequire(import.meta.url)
const sdk = await import('@daytona/sdk')
const manifest = require.resolve('@daytona/sdk/package.json')

// Classes and methods that call no server by themselves.
const offline = new Set(['Image', 'ObjectStorage', 'Daytona.createAxiosInstance', 'SnapshotService.processImageContext'])
const results = {}

function walk() {
  const found = new Set()
  const folder = join(dirname(manifest), 'esm')
  for (const file of readdirSync(folder).filter((f) => f.endsWith('.d.ts'))) {
    let cls = ''
    for (const line of readFileSync(join(folder, file), 'utf8').split('\n')) {
      const opened = line.match(/^export declare class (\w+)/)
      if (opened) cls = opened[1]
      if (line === '}') cls = ''
      const method = line.match(/^ {4}(?:static )?(?:async )?(\w+)(?:<[^>]*>)?\(/)
      const name = `${cls}.${method?.[1]}`
      const hidden = !method || method[1] === 'constructor' || method[1].startsWith('_') || offline.has(cls) || offline.has(name)
      if (cls && !hidden) found.add(name)
    }
  }
  return found
}

function withTimeout(promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer within 60 s')), 60_000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

// step calls work and notes under name what came of it. check says whether the value is right; refused is the status that the
// contract gives for this call on a container. A method called twice keeps its worse result.
async function step(name, work, check, refused) {
  let value
  let status = 'works'
  let detail = ''
  try {
    value = await withTimeout(Promise.resolve().then(work))
    if (check && !check(value)) {
      status = 'fails'
      detail = `wrong answer: ${JSON.stringify(value)}`.slice(0, 300)
    }
  } catch (err) {
    detail = `${err?.constructor?.name}: ${err?.message}`.replaceAll('\n', ' ').slice(0, 300)
    status = err?.statusCode === 501 || /is not built yet|response: 501|status code 501/.test(detail) ? '501' : 'fails'
    // A refused websocket is told as "[object Object]"; whether terminals are built is then what listing them said.
    if (/\[object Object\]/.test(detail) && results['Process.listPtySessions']?.status === '501') status = '501'
    if (refused && err?.statusCode === refused) status = 'refused'
  }
  const order = ['works', 'refused', '501', 'fails']
  if (!results[name] || order.indexOf(status) > order.indexOf(results[name].status)) results[name] = { status, detail }
  return value
}

async function all(iterator) {
  const found = []
  for await (const item of iterator) found.push(item)
  return found
}

async function sandboxes(client) {
  const tag = randomUUID().slice(0, 8)
  const params = { name: `table-${tag}`, language: 'python', labels: { table: tag }, envVars: { FROM_CREATE: 'yes' }, autoStopInterval: 30 }
  const box = await step('Daytona.create', () => client.create(params), (b) => b.state === 'started' && b.cpu > 0)
  if (!box) return []
  const other = await step('Daytona.create', () => client.create(), (b) => b.state === 'started')
  await step('Daytona.get', () => client.get(box.id), (b) => b.name === box.name)
  await step('Daytona.get', () => client.get(box.name), (b) => b.id === box.id)
  await step('Daytona.list', () => all(client.list({ labels: { table: tag }, limit: 2 })), (l) => l.length === 1 && l[0].id === box.id)
  await step('Daytona.stop', () => client.stop(other))
  await step('Daytona.start', () => client.start(other))
  return [box, other]
}

async function settings(box) {
  await step('Sandbox.setLabels', () => box.setLabels({ a: 'b' }), (l) => l.a === 'b')
  await step('Sandbox.setAutostopInterval', () => box.setAutostopInterval(31))
  await step('Sandbox.setAutoArchiveInterval', () => box.setAutoArchiveInterval(120))
  await step('Sandbox.setAutoDeleteInterval', () => box.setAutoDeleteInterval(60))
  await step('Sandbox.setAutoDeleteInterval', () => box.setAutoDeleteInterval(-1))
  const read = () => box.autoStopInterval === 31 && box.autoArchiveInterval === 120 && box.autoDeleteInterval === -1
  await step('Sandbox.refreshData', () => box.refreshData(), read)
  await step('Sandbox.setAutoPauseInterval', () => box.setAutoPauseInterval(0), undefined, 422)
  await step('Sandbox.setTtl', () => box.setTtl(600))
  await step('Sandbox.refreshActivity', () => box.refreshActivity())
  for (const name of ['getUserHomeDir', 'getUserRootDir', 'getWorkDir']) {
    await step(`Sandbox.${name}`, () => box[name](), (d) => d.startsWith('/'))
  }
  await step('Sandbox.getMetricsLatest', () => box.getMetricsLatest(), (m) => m.memTotal > 0)
  await step('Sandbox.getMetrics', () => box.getMetrics())
  await step('Sandbox.updateEnv', () => box.updateEnv({ LATER: '1' }, { unset: ['NOTHING'] }))
  await step('Sandbox.updateNetworkSettings', () => box.updateNetworkSettings({ networkBlockAll: false }))
  await step('Sandbox.updateSecrets', () => box.updateSecrets({}))
  await step('Sandbox.getPreviewLink', () => box.getPreviewLink(3000), (p) => p.url.startsWith('http') && p.token)
  const signed = await step('Sandbox.getSignedPreviewUrl', () => box.getSignedPreviewUrl(3000, 60))
  await step('Sandbox.expireSignedPreviewUrl', () => box.expireSignedPreviewUrl(3000, signed?.token ?? 'a'.repeat(16)))
  const access = await step('Sandbox.createSshAccess', () => box.createSshAccess(5))
  await step('Sandbox.validateSshAccess', () => box.validateSshAccess(access?.token ?? 'a'.repeat(32)))
  await step('Sandbox.revokeSshAccess', () => box.revokeSshAccess(access?.token ?? 'a'.repeat(32)))
}

async function files(box, folder) {
  const fs = box.fs
  const local = join(folder, 'local.txt')
  writeFileSync(local, 'from a local file\n')
  const bytes = Buffer.from([0, 255, 10, 13])
  const stream = Buffer.alloc(300_000, 'x')
  await step('FileSystem.createFolder', () => fs.createFolder('work/deep', '755'))
  await step('FileSystem.uploadFile', () => fs.uploadFile(bytes, 'work/memory.bin'))
  await step('FileSystem.uploadFile', () => fs.uploadFile(local, 'work/local.txt'))
  const many = [{ source: Buffer.from('one'), destination: 'work/1.txt' }, { source: local, destination: 'work/new/2 é.txt' }]
  await step('FileSystem.uploadFiles', () => fs.uploadFiles(many))
  await step('FileSystem.uploadFileStream', () => fs.uploadFileStream(Readable.from([stream]), 'work/stream.bin'))
  await step('FileSystem.uploadFileStream', () => fs.uploadFileStream(stream, 'work/stream.bin'))
  const names = 'deep,local.txt,memory.bin,new,1.txt,stream.bin'.split(',').sort().join()
  await step('FileSystem.listFiles', () => fs.listFiles('work'), (l) => l.map((f) => f.name).sort().join() === names)
  await step('FileSystem.listFiles', () => fs.listFiles('work', { depth: 2 }), (l) => l.some((f) => f.name === '2 é.txt'))
  await step('FileSystem.getFileDetails', () => fs.getFileDetails('work/stream.bin'), (f) => f.size === 300_000 && !f.isDir)
  await step('FileSystem.downloadFile', () => fs.downloadFile('work/memory.bin'), (b) => bytes.equals(b))
  await step('FileSystem.downloadFile', () => fs.downloadFile('work/local.txt', `${local}.back`), () => readFileSync(`${local}.back`, 'utf8') === 'from a local file\n')
  const wanted = ['work/1.txt', 'work/new/2 é.txt', 'work/missing'].map((source) => ({ source }))
  const right = (l) => String(l[0].result) === 'one' && String(l[1].result) === 'from a local file\n' && l[2].error
  await step('FileSystem.downloadFiles', () => fs.downloadFiles(wanted), right)
  await step('FileSystem.downloadFileStream', async () => Buffer.concat(await all(await fs.downloadFileStream('work/stream.bin'))), (b) => stream.equals(b))
  await step('FileSystem.moveFiles', () => fs.moveFiles('work/1.txt', 'work/moved.txt'))
  await step('FileSystem.setFilePermissions', () => fs.setFilePermissions('work/moved.txt', { mode: '600' }))
  await step('FileSystem.findFiles', () => fs.findFiles('work', 'local file'), (l) => l.length > 0)
  await step('FileSystem.searchFiles', () => fs.searchFiles('work', '*.txt'), (r) => r.files.length > 0)
  await step('FileSystem.replaceInFiles', () => fs.replaceInFiles(['work/moved.txt'], 'one', 'two'), (l) => l[0].success)
  await step('FileSystem.deleteFile', () => fs.deleteFile('work/moved.txt'))
  await step('FileSystem.deleteFile', () => fs.deleteFile('work', true))
  const gone = await fs.getFileDetails('work').then(() => null, (err) => err)
  await step('FileSystem.deleteFile', () => gone?.constructor?.name, (n) => n === 'DaytonaFileNotFoundError')

  await fs.uploadFile(Buffer.from('signed'), 'signed.txt')
  const url = await step('Sandbox.downloadUrl', () => box.downloadUrl('signed.txt'))
  if (url) await step('Sandbox.downloadUrl', async () => (await fetch(url)).text(), (t) => t === 'signed')
  const up = await step('Sandbox.uploadUrl', () => box.uploadUrl('signed.txt'))
  if (up) await step('Sandbox.uploadUrl', async () => (await fetch(up, { method: 'POST', body: 'again' })).status, (s) => s === 200)
  await step('Sandbox.rotateSigningKey', () => box.rotateSigningKey())
}

async function processes(box) {
  const p = box.process
  await step('Process.executeCommand', () => p.executeCommand('echo out; echo err >&2; exit 7'), (r) => r.exitCode === 7 && r.result.includes('out') && r.result.includes('err'))
  await step('Process.executeCommand', () => p.executeCommand('echo $FROM_CREATE $A; pwd', '/tmp', { A: 'b' }, 10), (r) => r.result === 'yes b\n/tmp\n')
  const late = await p.executeCommand('sleep 30', undefined, undefined, 1).then(() => null, (err) => err)
  await step('Process.executeCommand', () => late?.constructor?.name, (n) => n === 'DaytonaProcessExecutionTimeoutError')
  const params = new sdk.CodeRunParams()
  params.argv = ['a b']
  await step('Process.codeRun', () => p.codeRun('import sys; print(sys.argv[1:], 6 * 7)', params), (r) => r.result === "['a b'] 42\n")
  await step('Process.codeRun', () => p.codeRun('raise SystemExit(3)'), (r) => r.exitCode === 3)
  await step('Process.createSession', () => p.createSession('s1'))
  await step('Process.listSessions', () => p.listSessions(), (l) => l.some((s) => s.sessionId === 's1'))
  await step('Process.getSession', () => p.getSession('s1'), (s) => s.sessionId === 's1')
  const ran = await step('Process.executeSessionCommand', () => p.executeSessionCommand('s1', { command: 'echo hello' }), (r) => r.exitCode === 0 && r.stdout === 'hello\n')
  const command = ran?.cmdId ?? 'nothing'
  await step('Process.getSessionCommand', () => p.getSessionCommand('s1', command), (c) => c.exitCode === 0)
  await step('Process.getSessionCommandLogs', () => p.getSessionCommandLogs('s1', command), (r) => r.stdout === 'hello\n')
  let heard = ''
  const hear = (text) => (heard += text)
  await step('Process.getSessionCommandLogs', () => p.getSessionCommandLogs('s1', command, hear, hear), () => heard === 'hello\n')
  const reading = await step('Process.executeSessionCommand', () => p.executeSessionCommand('s1', { command: 'read x', runAsync: true }))
  await step('Process.sendSessionCommandInput', () => p.sendSessionCommandInput('s1', reading?.cmdId ?? 'nothing', 'text\n'))
  await step('Process.deleteSession', () => p.deleteSession('s1'))
  // The default image starts nothing: the session is there, and its log is empty.
  await step('Process.getEntrypointSession', () => p.getEntrypointSession(), (s) => s.sessionId === 'entrypoint')
  await step('Process.getEntrypointLogs', () => p.getEntrypointLogs(), (r) => !r.stdout && !r.stderr)
  const options = { id: 't1', cols: 100, rows: 30, onData: () => {} }
  await step('Process.listPtySessions', () => p.listPtySessions(), (l) => l.length === 0)
  const handle = await step('Process.createPty', () => p.createPty(options))
  await step('Process.listPtySessions', () => p.listPtySessions(), (l) => l.length === 1)
  await step('Process.getPtySessionInfo', () => p.getPtySessionInfo('t1'), (s) => s.cols === 100)
  await step('Process.resizePtySession', () => p.resizePtySession('t1', 90, 30), (s) => s.cols === 90)
  const joined = await step('Process.connectPty', () => p.connectPty('t1', { onData: () => {} }))
  const calls = { isConnected: [], waitForConnection: [], sendInput: ['echo hi\n'], resize: [80, 24], kill: [], wait: [], disconnect: [] }
  for (const [name, args] of Object.entries(calls)) {
    if (handle) await step(`PtyHandle.${name}`, () => handle[name](...args))
    else results[`PtyHandle.${name}`] = { ...results['Process.createPty'] }
  }
  await joined?.disconnect()
  await step('Process.killPtySession', async () => {
    if (handle) (await p.createPty(options)).disconnect()
    return p.killPtySession('t1')
  })
}

async function interpreter(box) {
  const ci = box.codeInterpreter
  const context = await step('CodeInterpreter.createContext', () => ci.createContext())
  await step('CodeInterpreter.listContexts', () => ci.listContexts())
  await step('CodeInterpreter.runCode', () => ci.runCode('print(1 + 1)'), (r) => r.stdout === '2\n')
  await step('CodeInterpreter.deleteContext', () => ci.deleteContext(context ?? { id: 'nothing' }))
}

async function repositories(box) {
  const git = box.git
  await step('Git.init', () => git.init('repo', false, 'main'))
  await step('Git.configureUser', () => git.configureUser('A', 'a@example.com'))
  await step('Git.setConfig', () => git.setConfig('core.abbrev', '12'))
  await step('Git.getConfig', () => git.getConfig('core.abbrev'), (v) => v === '12')
  await box.fs.uploadFile(Buffer.from('text'), 'repo/a.txt')
  await step('Git.add', () => git.add('repo', ['a.txt']))
  await step('Git.commit', () => git.commit('repo', 'first', 'A', 'a@example.com'), (c) => c.sha.length === 40)
  await step('Git.status', () => git.status('repo'), (s) => s.currentBranch === 'main')
  await step('Git.createBranch', () => git.createBranch('repo', 'next'))
  await step('Git.checkoutBranch', () => git.checkoutBranch('repo', 'main'))
  await step('Git.branches', () => git.branches('repo'), (b) => [...b.branches].sort().join() === 'main,next')
  await step('Git.deleteBranch', () => git.deleteBranch('repo', 'next'))
  await step('Git.init', () => git.init('bare.git', true, 'main'))
  await step('Git.remoteAdd', () => git.remoteAdd('repo', 'origin', '../bare.git'))
  await step('Git.remotes', () => git.remotes('repo'), (r) => r.remotes.length === 1)
  await step('Git.remoteGet', () => git.remoteGet('repo', 'origin'), (u) => u === '../bare.git')
  await step('Git.push', () => git.push('repo', undefined, undefined, 'main', 'origin', true))
  await step('Git.pull', () => git.pull('repo'))
  await step('Git.clone', () => git.clone('bare.git', 'clone'))
  await step('Git.restore', () => git.restore('repo', ['a.txt']))
  await step('Git.reset', () => git.reset('repo', 'hard', 'HEAD'))
  await step('Git.dangerouslyAuthenticate', () => git.dangerouslyAuthenticate('u', 'p', 'git.example.com'))
}

async function languages(box) {
  const lsp = await step('Sandbox.createLspServer', () => box.createLspServer('python', 'work'))
  await step('LspServer.start', () => lsp.start())
  await step('LspServer.didOpen', () => lsp.didOpen('work/a.py'))
  await step('LspServer.documentSymbols', () => lsp.documentSymbols('work/a.py'))
  await step('LspServer.workspaceSymbols', () => lsp.workspaceSymbols('a'))
  await step('LspServer.sandboxSymbols', () => lsp.sandboxSymbols('a'))
  await step('LspServer.completions', () => lsp.completions('work/a.py', { line: 0, character: 0 }))
  await step('LspServer.didClose', () => lsp.didClose('work/a.py'))
  await step('LspServer.stop', () => lsp.stop())
}

async function desktop(box, folder) {
  const cu = box.computerUse
  const region = { x: 0, y: 0, width: 10, height: 10 }
  await step('ComputerUse.start', () => cu.start())
  await step('ComputerUse.getStatus', () => cu.getStatus())
  for (const name of ['getProcessStatus', 'getProcessLogs', 'getProcessErrors', 'restartProcess']) {
    await step(`ComputerUse.${name}`, () => cu[name]('xvfb'))
  }
  await step('Mouse.getPosition', () => cu.mouse.getPosition())
  await step('Mouse.move', () => cu.mouse.move(1, 1))
  await step('Mouse.click', () => cu.mouse.click(1, 1))
  await step('Mouse.drag', () => cu.mouse.drag(1, 1, 2, 2))
  await step('Mouse.scroll', () => cu.mouse.scroll(1, 1, 'down'))
  await step('Keyboard.type', () => cu.keyboard.type('a'))
  await step('Keyboard.press', () => cu.keyboard.press('a'))
  await step('Keyboard.hotkey', () => cu.keyboard.hotkey('ctrl+a'))
  await step('Screenshot.takeFullScreen', () => cu.screenshot.takeFullScreen())
  await step('Screenshot.takeRegion', () => cu.screenshot.takeRegion(region))
  await step('Screenshot.takeCompressed', () => cu.screenshot.takeCompressed())
  await step('Screenshot.takeCompressedRegion', () => cu.screenshot.takeCompressedRegion(region))
  await step('Display.getInfo', () => cu.display.getInfo())
  await step('Display.getWindows', () => cu.display.getWindows())
  const rec = (await step('RecordingService.start', () => cu.recording.start()))?.id ?? 'nothing'
  await step('RecordingService.stop', () => cu.recording.stop(rec))
  await step('RecordingService.list', () => cu.recording.list())
  await step('RecordingService.get', () => cu.recording.get(rec))
  await step('RecordingService.download', () => cu.recording.download(rec, join(folder, 'rec.mp4')))
  await step('RecordingService.delete', () => cu.recording.delete(rec))
  await step('Accessibility.getTree', () => cu.accessibility.getTree())
  await step('Accessibility.findNodes', () => cu.accessibility.findNodes())
  await step('Accessibility.focusNode', () => cu.accessibility.focusNode('nothing'))
  await step('Accessibility.invokeNode', () => cu.accessibility.invokeNode('nothing'))
  await step('Accessibility.setNodeValue', () => cu.accessibility.setNodeValue('nothing', 'a'))
  await step('ComputerUse.stop', () => cu.stop())
}

async function services(client) {
  const nothing = randomUUID()
  const name = `t-${nothing.slice(0, 8)}`
  await step('SnapshotService.list', () => client.snapshot.list(), (p) => p.total >= 1 && p.items.length >= 1)
  await step('SnapshotService.get', () => client.snapshot.get('default'))
  const made = await step('SnapshotService.create', () => client.snapshot.create({ name, image: 'debian:13' }, { timeout: 60 }))
  await step('SnapshotService.activate', () => client.snapshot.activate(made ?? nothing))
  await step('SnapshotService.delete', () => client.snapshot.delete(made ?? nothing))
  const volume = await step('VolumeService.create', () => client.volume.create(name))
  await step('VolumeService.list', () => client.volume.list())
  await step('VolumeService.get', () => client.volume.get(name, true))
  await step('VolumeService.delete', () => client.volume.delete(volume ?? { id: nothing }))
  const secret = (await step('SecretService.create', () => client.secret.create({ name: 'TABLE', value: 'v' })))?.id ?? nothing
  await step('SecretService.list', () => client.secret.list())
  await step('SecretService.get', () => client.secret.get(secret))
  await step('SecretService.update', () => client.secret.update(secret, { value: 'w' }))
  await step('SecretService.delete', () => client.secret.delete(secret))
  const pool = (await step('WarmPoolService.create', () => client.warmPool.create({ snapshot: 'default', pool: 1 })))?.id ?? nothing
  await step('WarmPoolService.list', () => client.warmPool.list())
  await step('WarmPoolService.update', () => client.warmPool.update(pool, { pool: 0 }))
  await step('WarmPoolService.delete', () => client.warmPool.delete(pool))
}

async function lives(client, box, other) {
  const fork = await step('Sandbox.fork', () => box.fork(), undefined, 422)
  await fork?.delete()
  const second = await step('Daytona.fork', () => client.fork(box), undefined, 422)
  await second?.delete()
  await step('Sandbox.createSnapshot', () => box.createSnapshot(`from-${box.id.slice(0, 8)}`))
  await step('Sandbox.pause', () => box.pause(), undefined, 422)
  await step('Sandbox.resize', () => box.resize({ cpu: 2 }))
  await step('Sandbox.waitForResizeComplete', () => box.waitForResizeComplete())
  await step('Sandbox.recover', () => box.recover(), undefined, 400)
  await step('Sandbox.stop', () => box.stop(), () => box.state === 'stopped')
  await step('Sandbox.waitUntilStopped', () => box.waitUntilStopped())
  await step('Sandbox.start', () => box.start(), () => box.state === 'started')
  await step('Sandbox.waitUntilStarted', () => box.waitUntilStarted())
  await step('Sandbox.start', () => box.process.executeCommand('echo back'), (r) => r.result === 'back\n')
  await step('Sandbox.stop', () => box.stop(60, true))
  await step('Sandbox.archive', () => box.archive())
  await step('Sandbox.delete', () => box.delete(60, true))
  await step('Daytona.delete', () => client.delete(other))
}

const client = new sdk.Daytona()
const folder = mkdtempSync(join(tmpdir(), 'sandlot-table-'))
try {
  const [box, other] = await sandboxes(client)
  if (box) {
    await settings(box)
    await files(box, folder)
    await processes(box)
    await interpreter(box)
    await repositories(box)
    await languages(box)
    await desktop(box, folder)
    await lives(client, box, other)
  }
  await services(client)
} finally {
  rmSync(folder, { recursive: true })
  await client[Symbol.asyncDispose]?.()
}
const walked = walk()
for (const name of walked) results[name] ??= { status: 'fails', detail: 'not called by the test' }
for (const name of Object.keys(results)) {
  if (!walked.has(name)) results[name] = { status: 'fails', detail: 'called by the test, but not a method of this release' }
}
process.stdout.write(`${JSON.stringify({ version: require(manifest).version, methods: results })}\n`, () => process.exit(0))
