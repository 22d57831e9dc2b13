// Checks the test vectors of gomd's datagrams, and of the streams of jobs, with nothing but node.js: node check.js [DIRECTORY]
//
// It was written from docs/wire.md and shares no line with gomd itself, to show that the document says
// all that another program needs. Exit status 0 when every vector holds, 1 with a line for each that does not.
'use strict'
const crypto = require('crypto')
const fs = require('fs')
const path = require('path')
const streams = require('./streams.js')

const MAX = Number.MAX_SAFE_INTEGER // 2^53 - 1, the largest number on the wire
const U32 = 2 ** 32 - 1
const STATES = ['up', 'suspect', 'down', 'left', 'conflict']

class Bad extends Error {
  constructor (word, text) { super(text); this.word = word }
}
const need = (condition, text) => { if (!condition) throw new Bad('body', text) }

// ---- keys: HKDF-SHA256, RFC 5869
const hkdf = (secret, label, length) =>
  Buffer.from(crypto.hkdfSync('sha256', secret, Buffer.alloc(0), Buffer.from(label), length))

function keyOf (secret) {
  return { id: hkdf(secret, 'gomd/1 key id', 8), datagram: hkdf(secret, 'gomd/1 datagram', 32) }
}

function senderKey (datagramKey, salt) { // HKDF-Expand, one block
  const info = Buffer.concat([Buffer.from('gomd/1 sender'), salt, Buffer.from([1])])
  return crypto.createHmac('sha256', datagramKey).update(info).digest()
}

// ---- CBOR, the part that is used: numbers, byte strings, texts, arrays, false, true, null
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function decode (bytes) {
  let at = 0
  const take = (count) => {
    need(count <= bytes.length - at, 'it ends too soon')
    at += count
    return bytes.subarray(at - count, at)
  }
  const length = (info) => {
    if (info < 24) return info
    need(info < 28, 'a length that is not definite')
    const big = take(1 << (info - 24)).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
    need(big <= BigInt(MAX), 'a number of more than 53 bits')
    return Number(big)
  }
  const value = (depth) => {
    const head = take(1)[0]
    const major = head >> 5
    if (major === 7) {
      need(head >= 0xf4 && head <= 0xf6, 'neither false nor true nor null')
      return [false, true, null][head - 0xf4]
    }
    need(major !== 1 && major < 5, 'a negative number, a map or a tag')
    const size = length(head & 31)
    if (major === 0) return size
    if (major === 2) return Buffer.from(take(size))
    if (major === 3) {
      try { return utf8.decode(take(size)) } catch (error) { throw new Bad('body', 'not UTF-8') }
    }
    need(depth < 2, 'too deep')
    const found = []
    for (let i = 0; i < size; i++) found.push(value(depth + 1))
    return found
  }
  const found = value(0)
  need(at === bytes.length, 'bytes behind it')
  return found
}

function head (major, size) { // the shortest form
  if (size < 24) return Buffer.from([major * 32 + size])
  for (const [info, count] of [[24, 1], [25, 2], [26, 4], [27, 8]]) {
    if (BigInt(size) < 1n << BigInt(8 * count)) {
      const found = Buffer.alloc(1 + count)
      found[0] = major * 32 + info
      let rest = BigInt(size)
      for (let i = count; i > 0; i--) { found[i] = Number(rest & 255n); rest >>= 8n }
      return found
    }
  }
}

function encode (value) {
  if (value === false) return Buffer.from([0xf4])
  if (value === true) return Buffer.from([0xf5])
  if (value === null) return Buffer.from([0xf6])
  if (typeof value === 'number') return head(0, value)
  if (typeof value === 'string') return Buffer.concat([head(3, Buffer.byteLength(value)), Buffer.from(value)])
  if (Buffer.isBuffer(value)) return Buffer.concat([head(2, value.length), value])
  return Buffer.concat([head(4, value.length), ...value.map(encode)])
}

// ---- fields: how each is written, read and checked
const number = (low, high) => ({
  read: (value) => {
    need(typeof value === 'number' && value >= low && value <= high, `${value} is not ${low}..${high}`)
    return value
  },
  write: (value) => value
})
const unknown = (field) => ({
  read: (value) => value === null ? null : field.read(value), write: (value) => value
})
// Printable is all but controls, unassigned and private code points, and every space but the plain one.
const printable = (text) => !/[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/u.test(text)
const text = (limit) => ({
  read: (value) => {
    need(typeof value === 'string' && Buffer.byteLength(value) <= limit && printable(value), 'no such text')
    return value
  },
  write: (value) => value
})
const name = {
  read: (value) => {
    need(text(63).read(value) !== '' && !value.includes(' '), 'no name')
    return value
  },
  write: (value) => value
}
const treePath = {
  read: (value) => {
    need(text(256).read(value) === '' || value.startsWith('/'), 'no path')
    return value
  },
  write: (value) => value
}
const bytes = {
  read: (value) => { need(Buffer.isBuffer(value), 'no bytes'); return value.toString('hex') },
  write: (value) => Buffer.from(value, 'hex')
}
const flag = {
  read: (value) => { need(typeof value === 'boolean', 'no flag'); return value }, write: (value) => value
}
const address = {
  read: (value) => {
    need(Buffer.isBuffer(value) && (value.length === 4 || value.length === 16), 'no address')
    if (value.length === 4) return [...value].join('.')
    need(!value.toString('hex').startsWith('00000000000000000000ffff'), 'an IPv4 address in the form of IPv6')
    const groups = value.toString('hex').match(/..../g).join(':')
    return new URL(`http://[${groups}]`).hostname.slice(1, -1)
  },
  write: (value) => {
    if (!value.includes(':')) return Buffer.from(value.split('.').map(Number))
    const [left, right] = value.split('::').map((part) => part ? part.split(':') : [])
    const zeros = right ? Array(8 - left.length - right.length).fill('0') : []
    return Buffer.from([...left, ...zeros, ...(right ?? [])].map((each) => each.padStart(4, '0')).join(''), 'hex')
  }
}
const addresses = {
  read: (value) => {
    need(Array.isArray(value) && value.length >= 1 && value.length <= 2, 'no addresses')
    return value.map(address.read)
  },
  write: (value) => value.map(address.write)
}
const state = {
  read: (value) => { number(1, 5).read(value); return STATES[value - 1] },
  write: (value) => STATES.indexOf(value) + 1
}
const N = number(0, MAX)
const SMALL = number(0, U32)
const NODE = number(1, 65535)
const ANY = number(0, 65535)
const PORT = number(1, 65535)
const NOTE = { node: NODE, state, instance: N, incarnation: SMALL, port: PORT, address }
const notes = {
  read: (value) => {
    need(Array.isArray(value) && value.length % 6 === 0 && value.length <= 36 * 6, 'no notes')
    const found = []
    for (let at = 0; at < value.length; at += 6) found.push(readAll(NOTE, value.slice(at, at + 6)))
    return found
  },
  write: (value) => value.flatMap((note) => writeAll(NOTE, note))
}
const VALUES = {
  load: unknown(SMALL), speed: unknown(SMALL), cpus: unknown(ANY), util: unknown(SMALL),
  mem: unknown(N), rmem: unknown(N), tmem: unknown(N)
}
const KINDS = {
  1: ['Heartbeat', {
    incarnation: SMALL, port: PORT, stream_port: ANY, status: ANY, sampled: unknown(N), ...VALUES,
    announce: flag, name, address, notes
  }],
  2: ['Leave', { incarnation: SMALL, reason: text(200) }],
  3: ['Question', { request_id: N, node: ANY, target: ANY, path: treePath, padding: bytes }],
  4: ['Answer', { request_id: N, code: number(200, 599), size: SMALL, data: bytes }],
  5: ['Summary', { request_id: N, id: NODE, status: ANY, age: unknown(N), ...VALUES, name, address }],
  6: ['Probe', { request_id: N, target: ANY }],
  7: ['ProbeAck', { request_id: N, node: NODE, instance: N, incarnation: SMALL, reached: flag }],
  8: ['IndirectProbe', { request_id: N, target: NODE, port: PORT, address }],
  9: ['Notice', { state, node: NODE, instance: N, incarnation: SMALL, by: NODE, reason: text(200) }],
  10: ['Roster', { total: SMALL, notes }],
  11: ['ClockWarning', { instance: N, sequence: number(1, MAX), sent_at: N, name }],
  12: ['ReplayWarning', { instance: N, sequence: number(1, MAX), highest: N, name }],
  13: ['TrueSpeed', { speed: number(1, U32) }],
  14: ['Addresses', { port: PORT, addresses }]
}

function readAll (fields, values) {
  const names = Object.keys(fields)
  need(values.length === names.length, `${values.length} fields, not ${names.length}`)
  return Object.fromEntries(names.map((each, i) => [each, fields[each].read(values[i])]))
}
function writeAll (fields, values) {
  return Object.keys(fields).map((each) => fields[each].write(values[each]))
}

function readBody (body, packetLength) {
  const array = decode(body)
  need(Array.isArray(array) && array.length > 5 && array[0] in KINDS && typeof array[0] === 'number', 'no kind')
  const [kind, fields] = KINDS[array[0]]
  const programMay = kind === 'Question' || kind === 'Probe'
  const envelope = readAll(
    { sender: programMay ? ANY : NODE, instance: N, sent_at: N, sequence: number(1, MAX) }, array.slice(1, 5))
  const message = readAll(fields, array.slice(5))
  if (kind === 'Question') {
    need(packetLength >= 256, 'a question that is too short')
    need(/^(00)*$/.test(message.padding), 'padding that is not zero')
    need(!(message.path && message.node), 'a path and a node')
    message.room = packetLength
  }
  if (kind === 'Answer') need(message.size * 2 >= message.data.length, 'longer than its size')
  return { ...envelope, message: { kind, ...message } }
}

function writeBody (datagram, padding) {
  const { kind, ...message } = datagram.message
  const [code, [, fields]] = Object.entries(KINDS).find(([, [each]]) => each === kind)
  if (kind === 'Question') message.padding = padding
  return encode([Number(code), datagram.sender, datagram.instance, datagram.sent_at, datagram.sequence,
    ...writeAll(fields, message)])
}

// ---- packets
function open (packet, key) {
  if (packet.length > 1200) throw new Bad('oversized')
  if (packet.length < 13 || packet.toString('latin1', 0, 4) !== 'gomd') throw new Bad('foreign')
  if (packet[4] !== 1) throw new Bad('version')
  const id = packet.subarray(5, 13)
  if (!id.equals(key.id)) throw new Bad('unknown-key')
  if (packet.length < 49) throw new Bad('broken-seal')
  const own = senderKey(key.datagram, packet.subarray(13, 21))
  const cipher = crypto.createDecipheriv('chacha20-poly1305', own, packet.subarray(21, 33), { authTagLength: 16 })
  const sealed = packet.subarray(33, packet.length - 16)
  cipher.setAAD(packet.subarray(0, 33), { plaintextLength: sealed.length })
  cipher.setAuthTag(packet.subarray(packet.length - 16))
  try {
    return Buffer.concat([cipher.update(sealed), cipher.final()])
  } catch (error) { throw new Bad('broken-seal') }
}

function seal (body, key, salt, nonce) {
  const header = Buffer.concat([Buffer.from('gomd\x01'), key.id, salt, nonce])
  const cipher = crypto.createCipheriv('chacha20-poly1305', senderKey(key.datagram, salt), nonce, { authTagLength: 16 })
  cipher.setAAD(header, { plaintextLength: body.length })
  return Buffer.concat([header, cipher.update(body), cipher.final(), cipher.getAuthTag()])
}

// ---- the vectors
const directory = process.argv[2] || __dirname
const load = (file) => JSON.parse(fs.readFileSync(path.join(directory, file), 'utf8'))
const hex = (digits) => Buffer.from(digits || '', 'hex')
const sorted = (value) => Array.isArray(value)
  ? value.map(sorted)
  : value && typeof value === 'object'
    ? Object.fromEntries(Object.keys(value).sort().map((each) => [each, sorted(value[each])]))
    : value
const same = (one, other) => JSON.stringify(sorted(one)) === JSON.stringify(sorted(other))
let held = 0
let failed = 0
function check (label, holds) {
  try {
    if (!holds()) throw new Error('differs')
    held++
  } catch (error) {
    failed++
    console.log(`${label}: ${error.word || ''} ${error.message}`)
  }
}

for (const vector of load('keys.json')) {
  const secret = hex(vector.secret)
  for (const [label, length, field] of [['key id', 8, 'key_id'], ['datagram', 32, 'datagram'],
    ['authority', 32, 'authority_seed'], ['page server', 32, 'page_server_seed'], ['swim', 32, 'swim'],
    ['serf', 32, 'serf']]) {
    check(`keys.json ${label}`, () => hkdf(secret, `gomd/1 ${label}`, length).equals(hex(vector[field])))
  }
  check('keys.json sender', () => senderKey(hex(vector.datagram), hex(vector.salt)).equals(hex(vector.sender_key)))
  check('keys.json authority', () => {
    const certificate = new crypto.X509Certificate(hex(vector.authority_certificate))
    return certificate.verify(certificate.publicKey) && certificate.subject === `CN=gomd cluster ${vector.key_id}`
  })
}
for (const vector of load('packets.json')) {
  const packet = hex(vector.packet)
  const key = keyOf(hex(vector.secret))
  check(`packets.json ${vector.name}, opened`, () => open(packet, key).equals(hex(vector.body)))
  check(`packets.json ${vector.name}, read`, () => {
    const { padding, ...message } = readBody(hex(vector.body), packet.length).message
    return same({ ...readBody(hex(vector.body), packet.length), message }, vector.datagram)
  })
  check(`packets.json ${vector.name}, written`, () => {
    const padding = readBody(hex(vector.body), packet.length).message.padding
    const body = writeBody(vector.datagram, padding)
    return seal(body, key, hex(vector.salt), hex(vector.nonce)).equals(packet)
  })
}
const ours = keyOf(hex(load('keys.json')[0].secret))
for (const vector of load('bad.json')) {
  check(`bad.json ${vector.name}`, () => {
    const packet = hex(vector.packet)
    try {
      readBody(open(packet, ours), packet.length)
    } catch (error) {
      if (!(error instanceof Bad)) throw error
      if (error.word !== vector.error) throw new Error(`refused as ${error.word}, not ${vector.error}`)
      return true
    }
    throw new Error('taken')
  })
}
for (const vector of load('streams.json')) {
  check(`streams.json ${vector.end}: ${vector.name}`, () => streams.play(vector, same))
}
console.log(`${held} held, ${failed} failed`)
process.exit(failed ? 1 : 0)
