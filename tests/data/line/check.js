// Checks the test vectors of gomd's telnet line with nothing but node.js: node check.js [DIRECTORY]
//
// It was written from docs/line.md and shares no line with gomd itself. Each vector is read whole, and byte by
// byte. Exit status 0 when every vector holds, 1 with a line for each that does not.
'use strict'
const fs = require('fs')
const path = require('path')

class Reader {
  constructor () { this.rest = Buffer.alloc(0); this.replies = []; this.open = null; this.frames = null }

  feed (bytes) {
    this.rest = Buffer.concat([this.rest, bytes])
    while (this.frames === null) {
      const end = this.rest.indexOf('\r\n')
      if (end < 0) return
      const line = this.rest.subarray(0, end).toString('utf8')
      this.rest = this.rest.subarray(end + 2)
      this.line(line)
    }
    this.frames = Buffer.concat([this.frames, this.rest])
    this.rest = Buffer.alloc(0)
  }

  line (line) {
    if (this.open !== null) {
      if (line === '.') { this.done(); return }
      this.open.lines.push(line.startsWith('.') ? line.slice(1) : line)
      return
    }
    const found = /^([0-9]{3})(?: (.*))?$/.exec(line)
    if (!found) throw new Error(`no status line: ${line}`)
    this.open = { code: Number(found[1]), text: found[2] || '', lines: [], error: null }
    if (this.open.code !== 201) this.done()
  }

  done () { // a block that could not be completed says so in its last line
    const reply = this.open
    this.open = null
    const last = reply.lines[reply.lines.length - 1]
    const failed = last === undefined ? null : /^! ([0-9]{3}) (.*)$/.exec(last)
    if (failed) {
      reply.lines.pop()
      reply.error = [Number(failed[1]), failed[2]]
    }
    if (reply.code === 202) this.frames = Buffer.alloc(0)
    this.replies.push(reply)
  }
}

const original = (text) => { // the bytes of a line in which some were written as \xNN
  const parts = text.split(/\\x([0-9a-f]{2})/)
  return Buffer.concat(parts.map((part, at) => at % 2 ? Buffer.from(part, 'hex') : Buffer.from(part, 'utf8')))
}

const rounds = (lines) => { // in json: an object {round, rows: 0} is a round without rows
  const found = []
  for (const row of lines.map((line) => JSON.parse(line))) {
    if (!found.length || found[found.length - 1].round !== row.round) found.push({ round: row.round, count: row.rows, rows: 0 })
    if (row.rows) found[found.length - 1].rows++
  }
  if (found.some((round) => round.count !== round.rows)) throw new Error('a round is not complete')
  return found.map((round) => [round.round, round.rows])
}

let held = 0
let failed = 0
const directory = process.argv[2] || __dirname
for (const vector of JSON.parse(fs.readFileSync(path.join(directory, 'replies.json'), 'utf8'))) {
  const bytes = Buffer.from(vector.bytes, 'hex')
  for (const step of [bytes.length, 1]) {
    try {
      const reader = new Reader()
      for (let at = 0; at < bytes.length; at += step) reader.feed(bytes.subarray(at, at + step))
      const found = { replies: reader.replies }
      if ('frames' in vector) found.frames = reader.frames.toString('hex')
      if ('original' in vector) found.original = reader.replies[0].lines.map((line) => original(line).toString('hex'))
      if ('rounds' in vector) found.rounds = rounds(reader.replies[0].lines)
      for (const name of Object.keys(found)) {
        if (JSON.stringify(found[name]) !== JSON.stringify(vector[name])) {
          throw new Error(`${name}: ${JSON.stringify(found[name])}, not ${JSON.stringify(vector[name])}`)
        }
      }
      held++
    } catch (error) {
      failed++
      console.log(`${vector.name}: ${error.message}`)
    }
  }
}
console.log(`${held} vectors held, ${failed} failed`)
process.exitCode = failed ? 1 : 0
