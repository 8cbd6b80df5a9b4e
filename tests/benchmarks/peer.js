// One Hyperswarm peer of Node that is measured, driven by JSON lines: peer.py in JavaScript.
// node peer.js HOST:PORT [ADDRESS]
'use strict'

const { randomBytes } = require('crypto')
const { createInterface } = require('readline')
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')

const [bootstrap, host = '127.0.0.1'] = process.argv.slice(2)
const dht = new DHT({ bootstrap: [bootstrap], host })
const swarm = new Hyperswarm({ dht })
const kept = []

const report = (line) => console.log(JSON.stringify(line))
const bytesOf = (hex) => Buffer.from(hex, 'hex')
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]
const now = () => performance.now()

let connection = null
let early = []
let onData = null
let meet
const met = new Promise((resolve) => (meet = resolve))

swarm.on('connection', (stream) => {
  connection = stream
  stream.on('error', () => {})
  stream.on('data', (data) => (onData ? onData(data) : early.push(data)))
  meet()
})

// Hand what arrives to a command until it is done; what came before the command did is first.
async function reading(command) {
  await new Promise((done) => {
    onData = command(done)
    for (const data of early.splice(0)) onData(data)
  })
  onData = null
}

const drained = () => new Promise((resolve) => connection.once('drain', resolve))

function dialOnce(key) {
  const stream = dht.connect(bytesOf(key), { keyPair: DHT.keyPair() })
  return new Promise((resolve) => {
    stream.on('error', () => resolve(null))
    stream.once('open', () => resolve(stream))
  })
}

const commands = {
  async serve({ topic }) {
    await swarm.join(bytesOf(topic), { client: false }).flushed()
  },

  async meet({ topic, patience, server = true }) {
    const began = now()
    swarm.join(bytesOf(topic), { server, client: true })
    const late = new Promise((resolve) => setTimeout(resolve, patience * 1000, true))
    return { ms: (await Promise.race([met, late])) ? null : now() - began }
  },

  async met() {
    await met
  },

  async send({ size, count }) {
    const data = randomBytes(size)
    for (let i = 0; i < count; i++) if (!connection.write(data)) await drained()
  },

  async pour({ seconds }) {
    const data = randomBytes(65536)
    const ends = now() + seconds * 1000
    while (now() < ends) if (!connection.write(data)) await drained()
  },

  async gauge({ after, seconds }) {
    const begins = now() + after * 1000
    let count = 0
    await reading((done) => (data) => {
      if (now() >= begins + seconds * 1000) return done()
      if (now() >= begins) count += data.length
    })
    return { bytes: count }
  },

  async receive({ bytes }) {
    let count = 0
    let began = 0
    await reading((done) => (data) => {
      if (count === 0) began = now()
      count += data.length
      if (count >= bytes) done()
    })
    return { seconds: (now() - began) / 1000 }
  },

  async echo({ bytes }) {
    await reading((done) => (data) => {
      connection.write(data)
      bytes -= data.length
      if (bytes <= 0) done()
    })
  },

  async ping({ size, count }) {
    const data = randomBytes(size)
    const times = []
    let missing = size
    let began = now()
    await reading((done) => {
      connection.write(data)
      return (piece) => {
        missing -= piece.length
        if (missing > 0) return
        times.push((now() - began) * 1000)
        if (times.length === count) return done()
        missing = size
        began = now()
        connection.write(data)
      }
    })
    times.sort((a, b) => a - b)
    return { median: median(times), p99: times[Math.floor((count * 99) / 100)] }
  },

  async listen() {
    const keyPair = DHT.keyPair()
    const server = dht.createServer((stream) => stream.on('error', () => {}).resume())
    await server.listen(keyPair)
    return { key: keyPair.publicKey.toString('hex') }
  },

  async dial({ key, count, at_once: atOnce = false, keep = false }) {
    const began = now()
    const dialled = []
    for (let i = 0; i < count; i++) dialled.push(atOnce ? dialOnce(key) : await dialOnce(key))
    const streams = await Promise.all(dialled)
    const seconds = (now() - began) / 1000
    await new Promise((resolve) => setTimeout(resolve, 200))
    const opened = streams.filter((stream) => stream !== null && !stream.destroying)
    if (keep) kept.push(...opened)
    else opened.forEach((stream) => stream.destroy())
    return { seconds, opened: opened.length }
  },

  async search({ count, announce }) {
    const messages = []
    const times = []
    const requests = () => dht.stats.requests.total + dht.stats.requests.retries
    for (let i = 0; i < count; i++) {
      const target = randomBytes(32)
      const before = requests()
      const began = now()
      if (announce) await dht.announce(target, DHT.keyPair()).finished()
      else await dht.lookup(target).finished()
      times.push(now() - began)
      messages.push(requests() - before)
    }
    return { messages: mean(messages), ms: median(times) }
  }
}

async function main() {
  await dht.fullyBootstrapped()
  report({ result: { key: swarm.keyPair.publicKey.toString('hex') } })
  for await (const line of createInterface({ input: process.stdin })) {
    const options = JSON.parse(line)
    try {
      report({ result: (await commands[options.do](options)) || {} })
    } catch (error) {
      report({ error: error.message })
    }
  }
  process.exit(0)
}

main()
