// PostgreSQL's wire protocol in front of the WASM build of TimescaleDB's community edition.
//
// Place in the line: `community.py` starts it, tells it on standard input which databases to make, and drops them
// again; the tests' connections come in by TCP. `node bridge.mjs MODULES PORT`, where MODULES is the node_modules folder.
//
// Contract: each database is an engine of its own, and an engine is one PostgreSQL session. Connections take turns in it,
// a transaction at a time, each under its own role (SET SESSION AUTHORIZATION with that role's settings), so that rights
// and policies are PostgreSQL's own; what needs two sessions at once (waiting for a lock, seeing another's uncommitted
// row) cannot be tried here. COPY FROM STDIN is collected to its end, since the engine answers only whole exchanges.
// The process ends when its standard input does.

import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { pathToFileURL } from 'node:url'

const [modules, port] = process.argv.slice(2)
const dist = join(modules, '@unni-craftsman', 'pglite', 'dist')
const load = (...path) => import(pathToFileURL(join(dist, ...path)))
const [{ PGlite }, { timescaledb }] = await Promise.all([load('index.js'), load('timescaledb', 'index.js')])

// Compiled and read once: it is most of what a further engine would take to start.
const build = {
  extensions: { timescaledb },
  wasmModule: await WebAssembly.compile(readFileSync(join(dist, 'pglite.wasm'))),
  fsBundle: new Blob([readFileSync(join(dist, 'pglite.data'))]),
}

// --- messages -----------------------------------------------------------------------------------------------------

const [SSL, GSS, CANCEL, VERSION_3] = [80877103, 80877104, 80877102, 196608]

/** A message of either side: a type, its length, the body. */
function message(type, ...parts) {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part + '\0') : part)))
  const head = Buffer.alloc(5)
  head.write(type, 'latin1')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

const int32 = (value) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}
const query = (sql) => message('Q', sql)
const ready = (status) => message('Z', Buffer.from(status))
const failure = (state, text) => message('E', 'SFATAL', 'VFATAL', `C${state}`, `M${text}`, Buffer.from([0]))
const type = (bytes) => String.fromCharCode(bytes[0])
const quoted = (name) => `"${name.replaceAll('"', '""')}"`

/** Where the text that starts there ends. */
const end = (bytes, start) => bytes.indexOf(0, start)

/** Named statements belong to a connection, and the engine has one name space for all: the name gets the connection's
 * number in front. */
function owned(frame, number) {
  const own = (start) => {
    const stop = end(frame, start)
    if (stop === start) return frame // unnamed: it lives until the next one, within the turn
    return message(type(frame), frame.subarray(5, start), Buffer.from(`c${number}.`), frame.subarray(start))
  }
  if (type(frame) === 'Q') return query(onlyOwn(frame.subarray(5, -1).toString(), number))
  if (type(frame) === 'P') return own(5)
  if (type(frame) === 'B') return own(end(frame, 5) + 1)
  if ('DC'.includes(type(frame)) && frame[5] === 0x53 /* S: a statement, no portal */) return own(6)
  return frame
}

/** DEALLOCATE by the names that the engine knows. A client says ALL after a rollback, and means its own. */
function onlyOwn(sql, number) {
  const name = /^\s*DEALLOCATE\s+(?:PREPARE\s+)?"?([^\s";]+)"?\s*;?\s*$/i.exec(sql)?.[1]
  if (!name) return sql
  if (name.toUpperCase() !== 'ALL') return `DEALLOCATE "c${number}.${name}"`
  return `DO $$ DECLARE own text; BEGIN
    FOR own IN SELECT name FROM pg_prepared_statements WHERE name LIKE 'c${number}.%' LOOP
      EXECUTE format('DEALLOCATE %I', own);
    END LOOP;
  END $$`
}

// --- databases ----------------------------------------------------------------------------------------------------

const PATIENCE_MS = 20_000

class Database {
  /** Connections with work to do, in order of their asking; `inside` is the one whose transaction is open. A unit of work is
   * the list of messages after which a client waits; a COPY with all its rows is one message. */
  waiting = []
  connections = new Set()
  inside = null
  current = null
  working = false

  constructor(engine) {
    this.engine = engine
  }

  /** What a client is told of the server before its first query, and what PostgreSQL would set for each role. */
  async look() {
    const told = ['server_version', 'server_encoding', 'client_encoding', 'DateStyle', 'IntervalStyle', 'TimeZone',
      'integer_datetimes', 'standard_conforming_strings'].map((name) => `'${name}'`)
    await this.engine.exec("LOAD 'timescaledb'") // as a server does that preloads it
    const rows = async (sql) => (await this.engine.query(sql)).rows
    this.parameters = await rows(`SELECT name, setting FROM pg_settings WHERE name IN (${told})`)
    this.settings = await rows(`SELECT rolname AS role, setconfig FROM pg_roles
      JOIN pg_db_role_setting ON setrole = pg_roles.oid AND setdatabase = 0`)
    return this
  }

  submit(connection) {
    if (!this.waiting.includes(connection)) this.waiting.push(connection)
    if (this.inside && this.inside !== connection) connection.patience = setTimeout(() => connection.fail('55P03',
      'another connection has a transaction open, and the WASM build has one session'), PATIENCE_MS)
    if (!this.working) void this.work()
  }

  async work() {
    this.working = true
    for (;;) {
      const next = this.inside ? this.waiting.find((one) => one === this.inside) : this.waiting[0]
      if (!next) break
      clearTimeout(next.patience)
      const unit = next.units.shift()
      if (!next.units.length) this.waiting.splice(this.waiting.indexOf(next), 1)
      if (unit) await this.turn(next, unit)
    }
    this.working = false
  }

  async turn(connection, unit) {
    if (this.current !== connection) await this.become(connection)
    // One by one: the engine reads eight kilobytes at a time and takes a message that ends there for the last.
    const answers = []
    let status
    for (const bytes of unit) {
      const { data, messages } = await this.engine.execProtocol(bytes, { throwOnError: false })
      answers.push(Buffer.from(data))
      status = messages.filter((one) => one.name === 'readyForQuery').at(-1)?.status ?? status
    }
    if (!status && 'QS'.includes(type(unit.at(-1)))) return connection.fail('XX000', 'the engine gave no answer')
    // Without a word that it is ready (a flush in the middle of a pipeline) the exchange goes on.
    this.inside = status === 'I' ? null : connection
    connection.spoke = true
    connection.answer(Buffer.concat(answers))
  }

  async become(connection) {
    const settings = connection.settings.map((setting) => {
      const [name, ...value] = setting.split('=')
      return `SET ${name} = '${value.join('=').replaceAll("'", "''")}';`
    })
    this.current = connection
    if (this.left) await this.forget(connection)
    // The engine's own defaults for these two are those of initdb.
    await this.engine.exec(`RESET SESSION AUTHORIZATION; RESET ALL; SET client_encoding = 'UTF8';
      SET search_path = "$user", public; SET SESSION AUTHORIZATION ${quoted(connection.role)}; ${settings.join(' ')}`)
  }

  /** What PostgreSQL forgets when a session ends, here where the next turn begins: all of it where nobody else has
   * prepared or locked anything, else the temporary tables, which only ingest makes and makes anew. */
  async forget(connection) {
    await this.engine.exec('RESET SESSION AUTHORIZATION')
    const alone = this.connections.size === 1 && !connection.spoke
    await this.engine.exec(alone ? 'DISCARD ALL' : 'DISCARD TEMP')
    this.left = false
  }

  async leave(connection) {
    this.connections.delete(connection)
    this.waiting = this.waiting.filter((one) => one !== connection)
    if (this.inside === connection) {
      await this.engine.exec('ROLLBACK')
      this.inside = null
    }
    if (this.current === connection) this.current = null
    this.left = true
    if (this.waiting.length && !this.working) void this.work()
  }
}

const databases = new Map()
let passwords = {}

// --- connections --------------------------------------------------------------------------------------------------

let connected = 0

class Connection {
  units = []
  settings = []
  frames = []
  received = Buffer.alloc(0)
  copying = false
  number = ++connected

  constructor(socket) {
    this.socket = socket
    this.next = (frame) => this.start(frame)
    // Frames are taken one after the other: the next may depend on what the one before has waited for.
    this.reading = Promise.resolve()
    socket.setNoDelay(true)
    socket.on('data', (bytes) => {
      this.reading = this.reading.then(() => this.take(bytes)).catch((error) => this.fail('XX000', String(error)))
    })
    socket.on('close', () => {
      this.reading = this.reading.then(() => this.database?.leave(this)).catch(() => {})
    })
    socket.on('error', () => socket.destroy())
  }

  async take(bytes) {
    this.received = Buffer.concat([this.received, bytes])
    for (;;) {
      const at = this.asked ? 1 : 0 // until it has said who it is, a client's messages have no type
      if (this.received.length < at + 4) return
      const length = this.received.readInt32BE(at) + at
      if (this.received.length < length) return
      const frame = this.received.subarray(0, length)
      this.received = this.received.subarray(length)
      await this.next(frame)
    }
  }

  start(frame) {
    const code = frame.readInt32BE(4)
    if (code === SSL || code === GSS) return void this.socket.write('N')
    if (code === CANCEL || code !== VERSION_3) return void this.socket.destroy()
    const words = frame.subarray(8).toString().split('\0')
    const said = {}
    for (let place = 0; words[place]; place += 2) said[words[place]] = words[place + 1]
    this.asked = { role: said.user, database: said.database ?? said.user }
    this.next = (answer) => this.enter(answer)
    this.socket.write(message('R', int32(3)))
  }

  enter(frame) {
    const { role, database } = this.asked
    const password = frame.subarray(5, -1).toString()
    if (type(frame) !== 'p' || passwords[role] !== password)
      return this.fail('28P01', `password authentication failed for user ${quoted(role)}`)
    this.database = databases.get(database)
    if (!this.database) return this.fail('3D000', `database ${quoted(database)} does not exist`)
    this.database.connections.add(this)
    this.role = role
    this.settings = this.database.settings.filter((row) => row.role === role).flatMap((row) => row.setconfig)
    this.next = (next) => this.hear(next)
    this.socket.write(Buffer.concat([
      message('R', int32(0)),
      ...this.database.parameters.map(({ name, setting }) => message('S', name, setting)),
      message('K', int32(this.number), int32(0)),
      ready('I'),
    ]))
  }

  hear(frame) {
    const kind = type(frame)
    if (kind === 'X') return void this.socket.end()
    this.frames.push(owned(frame, this.number))
    if (kind === 'Q' && /^\s*COPY\s[^;]*\sFROM\s+STDIN\b/i.test(frame.subarray(5).toString())) {
      // The client sends its rows only when told to; if the engine then has none of it, it says so after the last.
      this.copying = true
      const binary = /\bBINARY\b/i.test(frame.toString()) ? 1 : 0
      return void this.socket.write(message('G', Buffer.from([binary, 0, 0])))
    }
    const over = this.copying ? 'cf'.includes(kind) : 'QSFH'.includes(kind)
    if (!over) return
    this.units.push(this.copying ? [Buffer.concat(this.frames)] : this.frames)
    this.frames = []
    this.database.submit(this)
  }

  answer(bytes) {
    if (this.copying && type(bytes) === 'G') bytes = bytes.subarray(bytes.readInt32BE(1) + 1) // it has been told
    this.copying = false
    this.socket.write(bytes)
  }

  fail(state, text) {
    this.socket.end(failure(state, text))
  }
}

// --- what community.py asks for -------------------------------------------------------------------------------------

const frozen = new Map()

const ORDERS = {
  /** A database with the extension in it and nothing else. */
  async make({ name }) {
    const database = new Database(await PGlite.create(build))
    await database.engine.exec('CREATE EXTENSION timescaledb')
    databases.set(name, await database.look())
  },
  /** Nobody can connect to it any more; it can be cloned. */
  async freeze({ name }) {
    const { engine } = databases.get(name)
    databases.delete(name)
    frozen.set(name, await engine.dumpDataDir('none'))
    await engine.close()
  },
  async clone({ name, from }) {
    const engine = await PGlite.create({ ...build, loadDataDir: frozen.get(from) })
    databases.set(name, await new Database(engine).look())
  },
  async drop({ name }) {
    const database = databases.get(name)
    databases.delete(name)
    frozen.delete(name)
    for (const connection of database?.connections ?? []) connection.socket.destroy()
    await database?.engine.close()
  },
  async passwords({ of }) {
    passwords = of
  },
}

const server = createServer((socket) => new Connection(socket))
server.listen(Number(port), '127.0.0.1', async () => {
  console.log(JSON.stringify({ done: 'listen' }))
  for await (const line of createInterface({ input: process.stdin })) {
    const order = JSON.parse(line)
    try {
      await ORDERS[order.do](order)
      console.log(JSON.stringify({ done: order.do }))
    } catch (error) {
      console.log(JSON.stringify({ failed: `${order.do}: ${error?.message ?? error}` }))
    }
  }
  process.exit(0)
})
