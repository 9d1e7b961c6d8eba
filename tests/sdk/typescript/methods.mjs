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

import { fetched, visited } from './preview.mjs'

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

// step calls work and notes under name what came of it, as step of methods.py does: check says whether the value is right; seen, whether what the
// call had to change is so, which it must not be before; a call that returns and has neither fails. partly names what is left out when check says
// no; refused is the status that the contract gives for this call on a container. A method called twice keeps its worse result.
async function step(name, work, check, { seen, partly, refused } = {}) {
  let value
  let status = 'works'
  let detail = ''
  try {
    if (seen && (await looks(seen))) throw new Error('what the call is to change was so before it')
    value = await withTimeout(Promise.resolve().then(work))
    if (!check && !seen) {
      status = 'fails'
      detail = 'it returned, and this program compares nothing of it'
    } else if (check && !(await check(value))) {
      status = partly ? 'partial' : 'fails'
      detail = partly ?? `wrong answer: ${JSON.stringify(value)}`.slice(0, 300)
    } else if (seen && !(await looks(seen))) {
      status = 'fails'
      detail = `it returned ${JSON.stringify(value)} and changed nothing`.slice(0, 300)
    }
  } catch (err) {
    detail = `${err?.constructor?.name}: ${err?.message}`.replaceAll('\n', ' ').slice(0, 300)
    status = err?.statusCode === 501 || /is not built yet|response: 501|status code 501/.test(detail) ? '501' : 'fails'
    // A refused websocket is told as "[object Object]"; whether terminals are built is then what listing them said.
    if (/\[object Object\]/.test(detail) && results['Process.listPtySessions']?.status === '501') status = '501'
    if (refused && err?.statusCode === refused) status = 'refused'
  }
  const order = ['works', 'partial', 'refused', '501', 'fails']
  if (!results[name] || order.indexOf(status) > order.indexOf(results[name].status)) results[name] = { status, detail }
  return value
}

// looks is what seen says, false where it cannot look.
async function looks(seen) {
  return withTimeout(Promise.resolve().then(seen)).then(Boolean, () => false)
}

// shows is seen of what a command in the sandbox prints.
const shows = (box, command, output) => async () => (await box.process.executeCommand(command)).result === output

// missing is seen of something that get no longer finds.
const missing = (get) => () => get().then(() => false, (err) => err?.statusCode === 404 || err?.constructor?.name === 'DaytonaFileNotFoundError')

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b)

async function all(iterator) {
  const found = []
  for await (const item of iterator) found.push(item)
  return found
}

async function sandboxes(client) {
  const tag = randomUUID().slice(0, 8)
  const params = { name: `table-${tag}`, language: 'python', labels: { table: tag }, envVars: { FROM_CREATE: 'yes' }, autoStopInterval: 30 }
  const box = await step('Daytona.create', () => client.create(params), (b) => same([b.state, b.name, b.labels.table, b.cpu, b.autoStopInterval], ['started', params.name, tag, 1, 30]))
  if (!box) return []
  const other = await step('Daytona.create', () => client.create(), (b) => b.state === 'started')
  await step('Daytona.get', () => client.get(box.id), (b) => b.name === box.name)
  await step('Daytona.get', () => client.get(box.name), (b) => b.id === box.id)
  await step('Daytona.list', () => all(client.list({ labels: { table: tag }, limit: 2 })), (l) => l.length === 1 && l[0].id === box.id)
  const is = (state) => async () => (await client.get(other.id)).state === state
  await step('Daytona.stop', () => client.stop(other), undefined, { seen: is('stopped') })
  await step('Daytona.start', () => client.start(other), undefined, { seen: is('started') })
  return [box, other]
}

async function settings(client, box) {
  const has = (fields) => ({ seen: async () => ((b) => Object.entries(fields).every(([name, value]) => same(b[name], value)))(await client.get(box.id)) })
  await step('Sandbox.setLabels', () => box.setLabels({ a: 'b' }), (l) => same(l, { a: 'b' }), has({ labels: { a: 'b' } }))
  await step('Sandbox.setAutostopInterval', () => box.setAutostopInterval(31), undefined, has({ autoStopInterval: 31 }))
  await step('Sandbox.setAutoArchiveInterval', () => box.setAutoArchiveInterval(120), undefined, has({ autoArchiveInterval: 120 }))
  await step('Sandbox.setAutoDeleteInterval', () => box.setAutoDeleteInterval(60), undefined, has({ autoDeleteInterval: 60 }))
  await step('Sandbox.setAutoDeleteInterval', () => box.setAutoDeleteInterval(-1), undefined, has({ autoDeleteInterval: -1 }))
  await (await client.get(box.id)).setLabels({ by: 'twin' })
  await step('Sandbox.refreshData', () => box.refreshData(), undefined, { seen: () => same(box.labels, { by: 'twin' }) })
  await step('Sandbox.setAutoPauseInterval', () => box.setAutoPauseInterval(0), undefined, { refused: 422 })
  await step('Sandbox.setTtl', () => box.setTtl(600), undefined, { seen: async () => (await client.get(box.id)).autoDestroyAt })
  const active = (await client.get(box.id)).lastActivityAt
  await step('Sandbox.refreshActivity', () => box.refreshActivity(), undefined, { seen: async () => (await client.get(box.id)).lastActivityAt > active })
  for (const name of ['getUserHomeDir', 'getUserRootDir', 'getWorkDir']) {
    await step(`Sandbox.${name}`, () => box[name](), (d) => d === '/home/daytona')
  }
  await step('Sandbox.getMetricsLatest', () => box.getMetricsLatest(), (m) => m.memTotal === 2 ** 30 && m.memUsed > 0 && m.memUsed < m.memTotal && m.cpuCount === 1)
  await step('Sandbox.getMetrics', () => box.getMetrics())
  await step('Sandbox.updateEnv', () => box.updateEnv({ LATER: '1' }, { unset: ['FROM_NOTHING'] }), undefined, { seen: shows(box, 'printenv LATER', '1\n') })
  await step('Sandbox.updateNetworkSettings', () => box.updateNetworkSettings({ networkBlockAll: false }))
  await step('Sandbox.updateSecrets', () => box.updateSecrets({}))
  await box.process.executeCommand('cd /tmp; echo page > page; setsid python3 -m http.server 3000 & until curl -sf localhost:3000; do sleep 0.05; done')
  await step('Sandbox.getPreviewLink', () => box.getPreviewLink(3000), async (link) => (await fetched(link, '/page')) === 'page\n')
  const signed = await step('Sandbox.getSignedPreviewUrl', () => box.getSignedPreviewUrl(3000, 60), async (s) => (await visited(s.url)).text.includes('page'))
  await step('Sandbox.expireSignedPreviewUrl', () => box.expireSignedPreviewUrl(3000, signed.token), null, {
    seen: async () => (await visited(signed.url)).status === 401,
  })
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
  const holds = (path, content) => ({ seen: async () => content.equals(await fs.downloadFile(path)) })
  await step('FileSystem.createFolder', () => fs.createFolder('work/deep', '755'), undefined, { seen: shows(box, "stat -c '%F %a' work/deep", 'directory 755\n') })
  await step('FileSystem.uploadFile', () => fs.uploadFile(bytes, 'work/memory.bin'), undefined, holds('work/memory.bin', bytes))
  await step('FileSystem.uploadFile', () => fs.uploadFile(local, 'work/local.txt'), undefined, { seen: shows(box, 'cat work/local.txt', 'from a local file\n') })
  const many = [{ source: Buffer.from('one'), destination: 'work/1.txt' }, { source: local, destination: 'work/new/2 é.txt' }]
  const both = shows(box, "cat work/1.txt 'work/new/2 é.txt'", 'onefrom a local file\n')
  await step('FileSystem.uploadFiles', () => fs.uploadFiles(many), undefined, { seen: both })
  await step('FileSystem.uploadFileStream', () => fs.uploadFileStream(Readable.from([stream.subarray(1)]), 'work/stream.bin'), undefined, holds('work/stream.bin', stream.subarray(1)))
  await step('FileSystem.uploadFileStream', () => fs.uploadFileStream(stream, 'work/stream.bin'), undefined, holds('work/stream.bin', stream))
  const names = 'deep,local.txt,memory.bin,new,1.txt,stream.bin'.split(',').sort()
  const last = (path) => path.split('/').pop()
  await step('FileSystem.listFiles', () => fs.listFiles('work'), (l) => same(l.map((f) => f.name).sort(), names))
  await step('FileSystem.listFiles', () => fs.listFiles('work', { depth: 2 }), (l) => same(l.map((f) => last(f.name)).sort(), [...names, '2 é.txt'].sort()))
  await step('FileSystem.getFileDetails', () => fs.getFileDetails('work/stream.bin'), (f) => same([f.name, f.size, f.isDir], ['stream.bin', 300_000, false]))
  await step('FileSystem.downloadFile', () => fs.downloadFile('work/memory.bin'), (b) => bytes.equals(b))
  const back = () => readFileSync(`${local}.back`, 'utf8') === 'from a local file\n'
  await step('FileSystem.downloadFile', () => fs.downloadFile('work/local.txt', `${local}.back`), undefined, { seen: back })
  const wanted = ['work/1.txt', 'work/new/2 é.txt', 'work/missing'].map((source) => ({ source }))
  const right = (l) => String(l[0].result) === 'one' && String(l[1].result) === 'from a local file\n' && l[2].error
  await step('FileSystem.downloadFiles', () => fs.downloadFiles(wanted), right)
  await step('FileSystem.downloadFileStream', async () => Buffer.concat(await all(await fs.downloadFileStream('work/stream.bin'))), (b) => stream.equals(b))
  await step('FileSystem.moveFiles', () => fs.moveFiles('work/1.txt', 'work/moved.txt'), undefined, { seen: shows(box, 'cat work/moved.txt; ls work | grep ^1', 'one') })
  const mode = shows(box, 'stat -c %a work/moved.txt', '600\n')
  await step('FileSystem.setFilePermissions', () => fs.setFilePermissions('work/moved.txt', { mode: '600' }), undefined, { seen: mode })
  const found = [['2 é.txt', 1, 'from a local file'], ['local.txt', 1, 'from a local file']]
  await step('FileSystem.findFiles', () => fs.findFiles('work', 'local file'), (l) => same(l.map((m) => [last(m.file), m.line, m.content]).sort(), found))
  await step('FileSystem.searchFiles', () => fs.searchFiles('work', '*.txt'), (r) => same(r.files.map(last).sort(), ['2 é.txt', 'local.txt', 'moved.txt']))
  const replaced = { seen: shows(box, 'cat work/moved.txt', 'two') }
  await step('FileSystem.replaceInFiles', () => fs.replaceInFiles(['work/moved.txt'], 'one', 'two'), (l) => same(l.map((r) => r.success), [true]), replaced)
  await step('FileSystem.deleteFile', () => fs.deleteFile('work/moved.txt'), undefined, { seen: missing(() => fs.getFileDetails('work/moved.txt')) })
  await step('FileSystem.deleteFile', () => fs.deleteFile('work', true), undefined, { seen: missing(() => fs.getFileDetails('work')) })

  await fs.uploadFile(Buffer.from('signed'), 'signed.txt')
  const content = async (url) => (await fetch(url)).text()
  const url = await step('Sandbox.downloadUrl', () => box.downloadUrl('signed.txt'), async (url) => (await content(url)) === 'signed')
  const up = async (to) => (await fetch(to, { method: 'POST', body: 'again' })).status === 200 && (await content(url)) === 'again'
  await step('Sandbox.uploadUrl', () => box.uploadUrl('signed.txt'), up)
  await step('Sandbox.rotateSigningKey', () => box.rotateSigningKey(), undefined, { seen: async () => (await fetch(url)).status === 401 })
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
  const drawing = "import matplotlib.pyplot as plt; plt.plot([1, 2, 3]); plt.show(); print('drawn')"
  await step('Process.codeRun', () => p.codeRun(drawing), (r) => same([r.exitCode, r.result], [0, 'drawn\n']))
  await step('Process.codeRun', () => p.codeRun(drawing), (r) => same(r.artifacts.charts.map((c) => [c.type, c.elements[0].points, c.png.length > 1000]), [['line', [[0, 1], [1, 2], [2, 3]], true]]))

  const own = (list) => list.filter((s) => s.sessionId !== 'entrypoint')
  const sessions = (...ids) => ({ seen: async () => same(own(await p.listSessions()).map((s) => s.sessionId), ids) })
  await step('Process.createSession', () => p.createSession('s1'), undefined, sessions('s1'))
  const ran = await step('Process.executeSessionCommand', () => p.executeSessionCommand('s1', { command: 'echo hello' }), (r) => r.exitCode === 0 && r.stdout === 'hello\n')
  const command = ran?.cmdId ?? 'nothing'
  await step('Process.listSessions', () => p.listSessions(), (l) => same(own(l).map((s) => [s.sessionId, s.commands.length]), [['s1', 1]]))
  await step('Process.getSession', () => p.getSession('s1'), (s) => same([s.sessionId, s.commands.map((c) => c.command)], ['s1', ['echo hello']]))
  await step('Process.getSessionCommand', () => p.getSessionCommand('s1', command), (c) => same([c.id, c.command, c.exitCode], [command, 'echo hello', 0]))
  await step('Process.getSessionCommandLogs', () => p.getSessionCommandLogs('s1', command), (r) => same([r.stdout, r.stderr], ['hello\n', '']))
  const follow = async (id) => {
    let heard = ''
    const hear = (text) => (heard += text)
    await p.getSessionCommandLogs('s1', id, hear, hear)
    return heard
  }
  await step('Process.getSessionCommandLogs', () => follow(command), (text) => text === 'hello\n')
  const waiting = { command: 'read x; echo got $x', runAsync: true }
  const reading = await step('Process.executeSessionCommand', () => p.executeSessionCommand('s1', waiting), (r) => r.cmdId && r.exitCode == null)
  const give = async () => {
    await p.sendSessionCommandInput('s1', reading?.cmdId ?? 'nothing', 'text\n')
    return follow(reading.cmdId)
  }
  await step('Process.sendSessionCommandInput', give, (text) => text.endsWith('got text\n'))
  await step('Process.deleteSession', () => p.deleteSession('s1'), undefined, sessions())
  // The default image starts nothing: the session is there, and its log is empty.
  await step('Process.getEntrypointSession', () => p.getEntrypointSession(), (s) => s.sessionId === 'entrypoint')
  await step('Process.getEntrypointLogs', () => p.getEntrypointLogs(), (r) => same([r.stdout || '', r.stderr || ''], ['', '']))
}

async function terminals(box) {
  const p = box.process
  let shown = ''
  const options = { id: 't1', cols: 100, rows: 30, onData: (data) => (shown += Buffer.from(data).toString()) }
  const are = (...ids) => ({ seen: async () => same((await p.listPtySessions()).map((s) => s.id), ids) })
  const sized = (cols, rows) => ({ seen: async () => ((s) => same([s.cols, s.rows], [cols, rows]))(await p.getPtySessionInfo('t1')) })
  const isT1 = (h) => h.sessionId === 't1'
  const handle = await step('Process.createPty', () => p.createPty(options), isT1, are('t1'))
  await step('Process.listPtySessions', () => p.listPtySessions(), (l) => same(l.map((s) => [s.id, s.active]), [['t1', true]]))
  await step('Process.getPtySessionInfo', () => p.getPtySessionInfo('t1'), (s) => same([s.id, s.cols, s.rows], ['t1', 100, 30]))
  await step('Process.resizePtySession', () => p.resizePtySession('t1', 90, 20), (s) => same([s.cols, s.rows], [90, 20]), sized(90, 20))
  if (!handle) {
    for (const name of ['isConnected', 'waitForConnection', 'sendInput', 'resize', 'kill', 'wait', 'disconnect']) results[`PtyHandle.${name}`] = { ...results['Process.createPty'] }
    return
  }
  await step('PtyHandle.waitForConnection', () => handle.waitForConnection(), () => handle.isConnected())
  await step('PtyHandle.isConnected', () => handle.isConnected(), (yes) => yes === true)
  await step('PtyHandle.resize', () => handle.resize(80, 24), (s) => same([s.cols, s.rows], [80, 24]), sized(80, 24))
  let ended
  const type = async () => {
    await handle.sendInput('echo 3$((1))4; exit 7\n')
    ended = await handle.wait()
  }
  await step('PtyHandle.sendInput', type, () => shown.includes('314'))
  await step('PtyHandle.wait', () => handle.wait(), (r) => same([r.exitCode, ended.exitCode, handle.exitCode], [7, 7, 7]))
  const again = await step('Process.createPty', () => p.createPty(options), isT1, are('t1'))
  const joined = await step('Process.connectPty', () => p.connectPty('t1', { onData: () => {} }), (h) => isT1(h) && h.isConnected())
  await step('PtyHandle.disconnect', () => joined.disconnect(), undefined, { seen: () => !joined.isConnected() })
  await step('PtyHandle.kill', () => again.kill(), undefined, are())
  const last = await step('Process.createPty', () => p.createPty(options), isT1, are('t1'))
  await step('Process.killPtySession', () => p.killPtySession('t1'), undefined, are())
  await again.disconnect()
  await last.disconnect()
}

async function interpreter(box) {
  const ci = box.codeInterpreter
  const context = await step('CodeInterpreter.createContext', () => ci.createContext('/tmp'), (c) => same([c.cwd, c.active, c.language], ['/tmp', true, 'python']))
  const listed = async () => (await ci.listContexts()).map((c) => c.id)
  await step('CodeInterpreter.listContexts', listed, (ids) => same(ids, [context.id]))
  const run = (code, check, how) => step('CodeInterpreter.runCode', () => ci.runCode(code, how), check)
  await run('print(1 + 1)', (r) => same([r.stdout, r.stderr, r.error], ['2\n', '', undefined]))
  await run("x = 1\nimport os\nprint(os.getcwd(), os.environ['A'])", (r) => r.stdout === '/tmp b\n', { context, envs: { A: 'b' } })
  await run("x += 1\nprint(x, os.environ.get('A'))", (r) => r.stdout === '2 None\n', { context })
  await run('x', (r) => r.error.name === 'NameError' && r.error.traceback.includes('line 1'))
  const got = []
  const handlers = { onStdout: (m) => got.push(['stdout', m.output]), onStderr: (m) => got.push(['stderr', m.output]), onError: (e) => got.push(['error', e.name]) }
  await run('import sys\nprint(1)\nprint(2, file=sys.stderr)\nprint(3)\n1 / 0', () => same(got, [['stdout', '1\n'], ['stderr', '2\n'], ['stdout', '3\n'], ['error', 'ZeroDivisionError']]), handlers)
  await run('import os\nos._exit(3)', (r) => r.error.name === 'InterpreterCrashed' && r.error.value.includes('exit code 3'))
  await run("print('anew')", (r) => same([r.stdout, r.error], ['anew\n', undefined]))
  const tooLong = await ci.runCode('import time\ntime.sleep(60)', { timeout: 1 }).then(() => null, (err) => err)
  await step('CodeInterpreter.runCode', () => tooLong?.constructor?.name, (n) => n === 'DaytonaTimeoutError')
  await step('CodeInterpreter.deleteContext', () => ci.deleteContext(context), undefined, { seen: async () => same(await listed(), []) })
}

async function repositories(box) {
  const git = box.git
  const shell = (command, output) => ({ seen: shows(box, command, output) })
  const run = async (command) => {
    const ran = await box.process.executeCommand(command)
    if (ran.exitCode !== 0) throw new Error(`${command}: ${ran.result}`)
  }
  await step('Git.init', () => git.init('repo', false, 'main'), undefined, shell('git -C repo branch --show-current', 'main\n'))
  await step('Git.configureUser', () => git.configureUser('A', 'a@example.com'), undefined, shell('git config --global user.name', 'A\n'))
  await step('Git.setConfig', () => git.setConfig('core.abbrev', '12'), undefined, shell('git config --global core.abbrev', '12\n'))
  await step('Git.getConfig', () => git.getConfig('core.abbrev'), (v) => v === '12')
  await run('echo text > repo/a.txt')
  await step('Git.add', () => git.add('repo', ['a.txt']), undefined, shell('git -C repo diff --cached --name-only', 'a.txt\n'))
  const logged = shell("git -C repo log --format='%an %s'", 'A first\n')
  await step('Git.commit', () => git.commit('repo', 'first', 'A', 'a@example.com'), (c) => c.sha.length === 40, logged)
  await step('Git.status', () => git.status('repo'), (s) => same([s.currentBranch, s.fileStatus], ['main', []]))
  await step('Git.createBranch', () => git.createBranch('repo', 'next'), undefined, shell("git -C repo branch --list next --format '%(refname:short)'", 'next\n'))
  await run('git -C repo checkout -q next')
  await step('Git.checkoutBranch', () => git.checkoutBranch('repo', 'main'), undefined, shell('git -C repo branch --show-current', 'main\n'))
  await step('Git.branches', () => git.branches('repo'), (b) => same([...b.branches].sort(), ['main', 'next']))
  await step('Git.deleteBranch', () => git.deleteBranch('repo', 'next'), undefined, shell('git -C repo branch --list next', ''))
  await step('Git.init', () => git.init('bare.git', true, 'main'), undefined, shell('git -C bare.git rev-parse --is-bare-repository', 'true\n'))
  await step('Git.remoteAdd', () => git.remoteAdd('repo', 'origin', '../bare.git'), undefined, shell('git -C repo remote get-url origin', '../bare.git\n'))
  await step('Git.remotes', () => git.remotes('repo'), (r) => same(r.remotes.map((x) => [x.name, x.url]), [['origin', '../bare.git']]))
  await step('Git.remoteGet', () => git.remoteGet('repo', 'origin'), (u) => u === '../bare.git')
  await step('Git.push', () => git.push('repo', undefined, undefined, 'main', 'origin', true), undefined, shell('git -C bare.git log --format=%s main', 'first\n'))
  await step('Git.clone', () => git.clone('bare.git', 'clone'), undefined, shell('cat clone/a.txt', 'text\n'))
  await run('cd clone && echo more >> a.txt && git commit -qam second && git push -q')
  await step('Git.pull', () => git.pull('repo'), undefined, shell('git -C repo log -1 --format=%s; cat repo/a.txt', 'second\ntext\nmore\n'))
  await run('echo changed > repo/a.txt')
  await step('Git.restore', () => git.restore('repo', ['a.txt']), undefined, shell('cat repo/a.txt', 'text\nmore\n'))
  await run('echo changed > repo/a.txt')
  await step('Git.reset', () => git.reset('repo', 'hard', 'HEAD'), undefined, shell('cat repo/a.txt', 'text\nmore\n'))
  const asked = String.raw`printf 'protocol=https\nhost=git.example.com\n\n' | GIT_TERMINAL_PROMPT=0 git credential fill 2>/dev/null | grep ^password`
  await step('Git.dangerouslyAuthenticate', () => git.dangerouslyAuthenticate('u', 'p', 'git.example.com'), undefined, shell(asked, 'password=p\n'))
}

// projects has one for each language server: its files, the first of which is the document; what that declares, with the end of its class; what a
// search finds, also where nothing was opened; where the document ends, within a name; and another text of it.
const projects = {
  python: {
    contents: {
      'a.py': "class Basket:\n    def total_price(self):\n        return 1\n\n\ndef make_basket():\n    return Basket()\n\n\n'😀漢', make_basket().to\n",
      'b.py': 'def total_of_all():\n    return 2\n',
    },
    declared: ['Basket', 'total_price', 'make_basket'],
    end: { line: 3, character: 0 },
    found: ['total_of_all', 'total_price'],
    position: { line: 9, character: 23 },
    changed: 'def other():\n    return 3\n',
  },
  typescript: {
    contents: {
      'a.ts': "class Basket {\n  totalPrice() { return 1 }\n}\nfunction makeBasket() { return new Basket() }\n'😀漢' + makeBasket().to\n",
      'b.ts': 'export function totalOfAll() { return 2 }\n',
      'tsconfig.json': '{}',
    },
    declared: ['Basket', 'totalPrice', 'makeBasket'],
    end: { line: 2, character: 1 },
    found: ['totalOfAll', 'totalPrice'],
    position: { line: 4, character: 23 },
    changed: 'function other() { return 3 }\n',
  },
}

async function languages(box) {
  for (const [language, project] of Object.entries(projects)) {
    const folder = `lsp/${language}`
    for (const [name, text] of Object.entries(project.contents)) await box.fs.uploadFile(Buffer.from(text), `${folder}/${name}`)
    await languageServer(box, language, folder, `${folder}/${Object.keys(project.contents)[0]}`, project)
  }
}

async function languageServer(box, language, folder, document, { declared, end, found, position, changed }) {
  const lsp = await step('Sandbox.createLspServer', () => box.createLspServer(language, folder), (lsp) => lsp.constructor.name === 'LspServer')
  const names = (symbols) => symbols.map((s) => s.name)
  const declares = (what) => ({ seen: async () => same(names(await lsp.documentSymbols(document)), what) })
  // change gives the document another text than its file has; published clients cannot.
  const change = async () => {
    const body = { languageId: language, pathToProject: folder, uri: `file://${document}`, text: changed }
    const headers = { Authorization: `Bearer ${process.env.DAYTONA_API_KEY}` }
    const answer = await fetch(`${box.toolboxProxyUrl}/${box.id}/lsp/did-change`, { method: 'POST', headers, body: JSON.stringify(body) })
    if (!answer.ok || !(await declares(['other']).seen())) throw new Error(`did-change: ${answer.status}`)
  }
  const stopped = async () => {
    const err = await lsp.documentSymbols(document).then(() => null, (err) => err)
    return err instanceof sdk.DaytonaLspServerNotInitializedError && shows(box, `readlink /proc/[0-9]*/cwd | grep ${folder}`, '')()
  }
  const symbol = (s) => [s.location.uri, s.name, s.kind, s.location.range.start, s.location.range.end]
  // From here on each seen is false before its call: the server is not started, or the document has another text than its file.
  await step('LspServer.start', () => lsp.start(), undefined, declares(declared))
  await change()
  await step('LspServer.didOpen', () => lsp.didOpen(document), undefined, declares(declared))
  const basket = [`file:///home/daytona/${document}`, 'Basket', 5, { line: 0, character: 0 }, end]
  await step('LspServer.documentSymbols', () => lsp.documentSymbols(document), (got) => same(symbol(got[0]), basket) && same(names(got), declared))
  await step('LspServer.workspaceSymbols', () => lsp.workspaceSymbols('total'), (got) => same(names(got).sort(), found))
  await step('LspServer.sandboxSymbols', () => lsp.sandboxSymbols('basket'), (got) => same(names(got).sort(), [declared[0], declared[2]].sort()))
  const labels = (got) => got.items.filter((i) => i.kind === 2 || i.kind === 3).map((i) => i.label.replace('()', ''))
  await step('LspServer.completions', () => lsp.completions(document, position), (got) => labels(got).includes(declared[1]))
  await change()
  await step('LspServer.didClose', () => lsp.didClose(document), undefined, declares(declared))
  await step('LspServer.stop', () => lsp.stop(), undefined, { seen: stopped })
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
  const fork = await step('Sandbox.fork', () => box.fork(), undefined, { refused: 422 })
  await fork?.delete()
  const second = await step('Daytona.fork', () => client.fork(box), undefined, { refused: 422 })
  await second?.delete()
  await step('Sandbox.createSnapshot', () => box.createSnapshot(`from-${box.id.slice(0, 8)}`))
  await step('Sandbox.pause', () => box.pause(), undefined, { refused: 422 })
  await step('Sandbox.resize', () => box.resize({ cpu: 2 }))
  await step('Sandbox.waitForResizeComplete', () => box.waitForResizeComplete(), () => box.state === 'started')
  await step('Sandbox.recover', () => box.recover(), undefined, { refused: 400 })
  const inside = (state) => ({ seen: async () => (await client.get(box.id)).state === state })
  const twin = await client.get(box.id) // knows nothing of what box does
  await step('Sandbox.stop', () => box.stop(), () => box.state === 'stopped', inside('stopped'))
  await step('Sandbox.waitUntilStopped', () => twin.waitUntilStopped(), undefined, { seen: () => twin.state === 'stopped' })
  await step('Sandbox.start', () => box.start(), () => box.state === 'started', inside('started'))
  await step('Sandbox.waitUntilStarted', () => twin.waitUntilStarted(), undefined, { seen: () => twin.state === 'started' })
  await step('Sandbox.start', () => box.process.executeCommand('echo back'), (r) => r.result === 'back\n')
  await step('Sandbox.stop', () => box.stop(60, true), () => box.state === 'stopped', inside('stopped'))
  await step('Sandbox.archive', () => box.archive())
  await step('Sandbox.delete', () => box.delete(60, true), undefined, { seen: missing(() => client.get(box.id)) })
  const leaves = async () => (await missing(() => client.get(other.id))()) || (await client.get(other.id)).state === 'destroying'
  await step('Daytona.delete', () => client.delete(other), undefined, { seen: leaves })
}

const client = new sdk.Daytona()
const folder = mkdtempSync(join(tmpdir(), 'sandlot-table-'))
try {
  const [box, other] = await sandboxes(client)
  if (box) {
    await settings(client, box)
    await files(box, folder)
    await processes(box)
    await terminals(box)
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
