// Both ends of a job's streams, written from docs/wire.md alone; check.js plays streams.json with them.
'use strict'
const KIND = { ATTACH: 2, STDIN: 3, STDIN_END: 4, COLLECTED: 8, ACK: 9, STARTED: 16, ATTACHED: 17, STDOUT: 18, STDERR: 19, EXIT: 20, FAILED: 21, RESUME: 22 }
const OUTPUTS = { 18: 'stdout', 19: 'stderr' }
const JSON_KINDS = [KIND.ATTACH, KIND.STARTED, KIND.ATTACHED, KIND.EXIT, KIND.FAILED]

function frame (kind, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(5)
  head[0] = kind
  head.writeUInt32BE(payload.length, 1)
  return Buffer.concat([head, payload])
}
const json = (kind, value) => frame(kind, Buffer.from(JSON.stringify(value)))
function acknowledgement (stream, position) {
  const payload = Buffer.alloc(9)
  payload[0] = stream
  payload.writeBigUInt64BE(BigInt(position), 1)
  return frame(KIND.ACK, payload)
}
function parse (bytes) {
  const found = []
  for (let at = 0; at < bytes.length;) {
    const length = bytes.readUInt32BE(at + 1)
    found.push([bytes[at], bytes.subarray(at + 5, at + 5 + length)])
    at += 5 + length
  }
  return found
}
// JSON may be written in other ways: two frames are the same when their values are.
const readable = (bytes) => parse(bytes).map(([kind, payload]) =>
  [kind, JSON_KINDS.includes(kind) ? JSON.parse(payload) : payload.toString('hex')])

class Sender { // keeps the bytes from base on
  constructor (window, start = 0) {
    Object.assign(this, { window, base: start, sent: start, taken: start, kept: Buffer.alloc(0) })
  }

  get end () { return this.base + this.kept.length }
  room () { return Math.max(0, this.window - (this.end - this.taken)) }
  append (data) { this.kept = Buffer.concat([this.kept, data]) }
  forget (position) {
    if (position <= this.base) return
    this.kept = this.kept.subarray(position - this.base)
    this.base = position
  }

  resume (received, taken) {
    const start = Math.min(Math.max(received, this.base), this.end)
    this.forget(start)
    this.sent = start
    this.taken = taken === undefined ? start : Math.min(taken, start)
    return start
  }

  acknowledge (position) {
    if (position <= this.taken || position > this.sent) return false
    this.taken = position
    this.forget(position)
    return true
  }

  next () {
    const upTo = Math.min(this.end, this.taken + this.window)
    const data = this.kept.subarray(this.sent - this.base, Math.max(upTo, this.sent) - this.base)
    this.sent += data.length
    return data
  }
}

class CallerEnd {
  constructor (window) {
    this.input = new Sender(window)
    this.outputs = { 18: { received: 0, taken: 0 }, 19: { received: 0, taken: 0 } }
    Object.assign(this, { window, asked: 0, attached: false, ended: false, endSent: false, exited: false, out: [] })
  }

  send (bytes) { this.out.push(bytes) }
  take () { const bytes = Buffer.concat(this.out); this.out = []; return bytes }
  attach () {
    this.attached = false
    this.asked++
    const wanted = { stdout: this.outputs[18].received, stderr: this.outputs[19].received, n: this.asked }
    this.send(json(KIND.ATTACH, this.stops ? { ...wanted, stops: true } : wanted))
  }

  sendInput () {
    if (!this.attached) return
    const data = this.input.next()
    if (data.length) this.send(frame(KIND.STDIN, data))
    if (this.ended && !this.endSent && this.input.sent === this.input.end) {
      this.endSent = true
      this.send(frame(KIND.STDIN_END))
    }
  }

  do (what, value) {
    if (what === 'attach') this.attach()
    else if (what === 'wants stops') this.stops = true
    else if (what === 'connection replaced') { this.out = []; this.attached = false }
    else if (what === 'input') { this.input.append(Buffer.from(value, 'hex')); this.sendInput() }
    else if (what === 'end input') { this.ended = true; this.sendInput() }
    else if (what === 'input room') {
      const room = this.attached && !this.ended && !this.exited ? this.input.room() : 0
      if (room !== value) throw new Error(`room for ${room} bytes of input, not ${value}`)
    } else if (what === 'collected') { this.out = [frame(KIND.COLLECTED)] }
    else if (what === 'passed on') {
      const kind = value[0] === 'stdout' ? KIND.STDOUT : KIND.STDERR
      const output = this.outputs[kind]
      output.taken += value[1]
      if (this.attached && !this.exited) this.send(acknowledgement(kind, output.taken))
    } else throw new Error(what)
  }

  receive (kind, payload) { // returns what it means, null when it means nothing
    if (kind in OUTPUTS) {
      if (!this.attached) return null
      this.outputs[kind].received += payload.length
      return { data: [OUTPUTS[kind], payload.toString('hex')] }
    }
    if (kind === KIND.ACK) {
      const position = Number(payload.readBigUInt64BE(1))
      if (payload[0] !== KIND.STDIN || !this.attached || !this.input.acknowledge(position)) return null
      this.sendInput()
      return { 'input taken': position }
    }
    if (kind === KIND.RESUME) { this.attach(); return null }
    const told = JSON.parse(payload)
    if (kind === KIND.STARTED) return { started: told.job }
    if (kind === KIND.EXIT) {
      if (!this.attached && !told.lost) return null
      this.exited = true
      return { exited: told.exit, reason: told.reason }
    }
    if (told.n !== this.asked) return null
    this.attached = true
    const lost = {}
    for (const [each, name] of Object.entries(OUTPUTS)) {
      const output = this.outputs[each]
      const held = output.received - output.taken
      lost[name] = Math.max(0, told[name] - output.received)
      output.received = told[name]
      output.taken = told[name] - held
    }
    if (told.stdin > this.input.end) this.input = new Sender(this.window, told.stdin)
    this.input.resume(told.stdin, told.stdin_taken)
    if (told.stdin_ended) this.ended = this.endSent = true
    else { this.endSent = false; this.sendInput() }
    return 'stopped' in told ? { attached: lost, stop: told.stopped } : { attached: lost }
  }
}

class JobEnd {
  constructor (window) {
    this.outputs = { 18: new Sender(window), 19: new Sender(window) }
    Object.assign(this, { received: 0, taken: 0, told: 0, stop: 0, attached: false, out: [] })
  }

  take () { const bytes = Buffer.concat(this.out); this.out = []; return bytes }
  do (what, value) {
    if (what === 'output') this.outputs[value[0] === 'stdout' ? 18 : 19].append(Buffer.from(value[1], 'hex'))
    else if (what === 'detach') this.attached = false
    else if (what === 'stop') this.stop = value
    else if (what === 'passed on') {
      this.taken += value
      if (this.attached) this.out.push(acknowledgement(KIND.STDIN, this.taken))
    } else if (what === 'send') {
      if (!this.attached) return
      for (const kind of [18, 19]) {
        const data = this.outputs[kind].next()
        if (data.length) this.out.push(frame(kind, data))
      }
    } else throw new Error(what)
  }

  receive (kind, payload) {
    if (kind === KIND.STDIN) this.received += payload.length
    else if (kind === KIND.ACK) this.outputs[payload[0]].acknowledge(Number(payload.readBigUInt64BE(1)))
    else {
      const wanted = JSON.parse(payload)
      this.attached = true
      const told = { stdin: this.received, stdin_taken: this.taken, stdin_ended: false, n: wanted.n }
      for (const [each, name] of Object.entries(OUTPUTS)) told[name] = this.outputs[each].resume(wanted[name])
      if (wanted.stops) told.stopped = this.stop
      this.out.push(json(KIND.ATTACHED, told), acknowledgement(KIND.STDIN, this.taken))
    }
  }
}

// Plays a vector; throws where its end does something else. `same` compares two JSON values.
function play (vector, same) {
  const end = vector.end === 'caller' ? new CallerEnd(vector.window) : new JobEnd(vector.window)
  vector.steps.forEach((step, at) => {
    if (step.do === 'frame') {
      const [[kind, payload]] = parse(Buffer.from(step.with, 'hex'))
      const event = end.receive(kind, payload)
      if (vector.end === 'caller' && !same(event, step.event)) {
        throw new Error(`step ${at}: means ${JSON.stringify(event)}, not ${JSON.stringify(step.event)}`)
      }
    } else end.do(step.do, step.with)
    const out = readable(end.take())
    const expected = readable(Buffer.from(step.out, 'hex'))
    if (!same(out, expected)) {
      throw new Error(`step ${at}: sends ${JSON.stringify(out)}, not ${JSON.stringify(expected)}`)
    }
  })
  return true
}
module.exports = { play }
