// Hyperswarm peers of Node, one after another, driven by JSON lines.   node peer.js
//
// In:  {"id": 1, "do": NAME, ...}   one command a line; commands of one peer may overlap
//      "be" makes a peer of a seed and a bootstrap address, "stop" ends it and tells nobody
// Out: {"event": "connection", "conn": N, "remote": HEX, "initiator": BOOL},
//      {"id": 1, "result": {...}} or {"id": 1, "error": TEXT}
// It ends at the end of input, after the peer left the DHT. peer.py is the same in Python.
'use strict'

const { createHash } = require('crypto')
const { createInterface } = require('readline')
const DHT = require('hyperdht')
const Hyperswarm = require('hyperswarm')
const blindRelay = require('blind-relay')

const HOST = '127.0.0.1'
const WRITE = 65536

// the peer that is now
let dht = null
let keyPair = null
let swarm = null
let relay = null
let opened = 0
let dialled = []
const connections = new Map()

const report = (line) => console.log(JSON.stringify(line))
const sha256 = (data) => createHash('sha256').update(data).digest('hex')
const contentOf = (seed, length) => createHash('shake256', { outputLength: length }).update(seed).digest()

// What arrived on one connection and was not asked for yet, and who waits for more of it.
class Inbox {
  constructor(stream) {
    this.stream = stream
    this.frames = []
    this.messages = []
    this.ended = false
    this.error = null
    this.changed = () => {}
    const change = () => this.changed()
    stream.on('data', (data) => this.frames.push(data) && change())
    stream.on('message', (data) => this.messages.push(data) && change())
    stream.on('end', () => (this.ended = true) && change())
    stream.on('error', (error) => (this.error = error) && change())
    stream.on('close', change)
  }

  // Resolves once `ready` holds, or no more can come.
  async until(ready) {
    while (!ready() && !this.ended && !this.stream.destroyed) {
      await new Promise((resolve) => (this.changed = resolve))
    }
  }

  async bytes(length) {
    const have = () => this.frames.reduce((sum, frame) => sum + frame.length, 0)
    await this.until(() => have() >= length)
    const data = Buffer.concat(this.frames)
    this.frames = data.length > length ? [data.subarray(length)] : []
    const taken = data.subarray(0, length)
    return { bytes: taken.length, sha256: sha256(taken), ended: this.ended, error: this.error && this.error.message }
  }
}

function adopt(stream) {
  const conn = ++opened
  const inbox = new Inbox(stream)
  connections.set(conn, inbox)
  report({ event: 'connection', conn, remote: stream.remotePublicKey.toString('hex'), initiator: stream.isInitiator })
  return conn
}

async function write(stream, data) {
  if (!stream.write(data)) await new Promise((resolve) => stream.once('drain', resolve).once('close', resolve))
}

const target = (hex) => Buffer.from(hex, 'hex')

// Leave no direct way. On loopback a node may find out that everyone can reach it, and would say so.
function hide(options, more) {
  Object.assign(options, more)
  dht.remoteAddress = () => null
}

// What became of each dial, those that Node makes for itself included: when its stream to a relay ends, whoever waits for
// that is told no more than "channel closed".
function noteDials(dht) {
  const dial = dht.connect.bind(dht)
  dht.connect = (key, options) => {
    const began = Date.now()
    const stream = dial(key, options)
    const note = (what) => dialled.push(`${key.toString('hex').slice(0, 8)} ${what} after ${Date.now() - began} ms`)
    stream.on('open', () => note('opened')).on('error', (error) => note(error.code || error.message))
    return stream.on('close', () => note('closed'))
  }
}

const commands = {
  async be({ bootstrap, seed }) {
    opened = 0
    dialled = []
    connections.clear()
    dht = new DHT({ bootstrap: [bootstrap], host: HOST })
    noteDials(dht)
    keyPair = DHT.keyPair(target(seed))
    const one = (swarm = new Hyperswarm({ dht, keyPair }))
    one.on('connection', (stream) => one === swarm && adopt(stream))
    await dht.fullyBootstrapped()
  },

  async stop() {
    const ended = swarm
    swarm = relay = null
    await ended.destroy({ force: true })
  },

  async join({ topic, server = true, client = true }) {
    return { flushed: await swarm.join(target(topic), { server, client }).flushed() }
  },

  async leave({ topic }) {
    await swarm.leave(target(topic))
  },

  // `relay`: a relay's key. `direct`: false to leave the two sides no other way.
  async listen({ relay, direct = true }) {
    const options = relay ? { relayThrough: target(relay) } : {}
    if (!direct) hide(options, { holepunch: false, shareLocalAddress: false })
    await dht.createServer(options, adopt).listen(keyPair)
  },

  async connect({ key, relay, direct = true }) {
    const options = relay ? { relayThrough: target(relay) } : {}
    if (!direct) hide(options, { holepunch: () => false, localConnection: false })
    const stream = dht.connect(target(key), { keyPair, ...options })
    await new Promise((resolve, reject) => stream.once('open', resolve).once('error', reject))
    return { conn: adopt(stream) }
  },

  async path({ conn }) {
    const { remoteHost, remotePort } = connections.get(conn).stream.rawStream
    return { address: remoteHost + ':' + remotePort }
  },

  // Bytes of encrypted frames, as they are counted here, and how many of these an empty frame has.
  async heard({ conn }) {
    return { bytes: connections.get(conn).stream.rawBytesRead, empty_frame: 17 }
  },

  async resent({ conn }) {
    return { packets: connections.get(conn).stream.rawStream.retransmits }
  },

  async beRelay() {
    relay = new blindRelay.Server({ createStream: (options) => dht.createRawStream({ ...options, framed: true }) })
    const accept = (socket) => relay.accept(socket, { id: socket.remotePublicKey }).on('error', () => {})
    const server = dht.createServer({ shareLocalAddress: true }, accept)
    await server.listen(keyPair)
  },

  async where() {
    return { addresses: [dht.io.serverSocket, dht.io.clientSocket].map((socket) => HOST + ':' + socket.address().port) }
  },

  async relayStats() {
    return { matched: relay.stats.pairings.matched, links: relay.stats.pairings.active }
  },

  async connections() {
    const open = [...connections].filter(([, { stream }]) => !stream.destroying)
    return { open: open.map(([conn, { stream }]) => ({ conn, remote: stream.remotePublicKey.toString('hex') })) }
  },

  // What the swarm itself holds, each by what both of its ends know it as.
  async links() {
    const links = [...swarm.connections].filter((stream) => !stream.destroying && stream.handshakeHash)
    return { links: links.map((stream) => [stream.remotePublicKey.toString('hex'), stream.handshakeHash.toString('hex')]) }
  },

  async send({ conn, seed, bytes }) {
    const data = contentOf(seed, bytes)
    for (let at = 0; at < bytes; at += WRITE) await write(connections.get(conn).stream, data.subarray(at, at + WRITE))
    return { sha256: sha256(data) }
  },

  async receive({ conn, bytes }) {
    return connections.get(conn).bytes(bytes)
  },

  async sendFrames({ conn, frames }) {
    for (const frame of frames) await write(connections.get(conn).stream, Buffer.from(frame, 'hex'))
  },

  async receiveFrames({ conn, count }) {
    const inbox = connections.get(conn)
    await inbox.until(() => inbox.frames.length >= count)
    return { frames: inbox.frames.splice(0, count).map((frame) => frame.toString('hex')) }
  },

  async sendMessage({ conn, data }) {
    await connections.get(conn).stream.send(Buffer.from(data, 'hex'))
  },

  async receiveMessage({ conn }) {
    const inbox = connections.get(conn)
    await inbox.until(() => inbox.messages.length > 0)
    return { data: inbox.messages.shift().toString('hex') }
  },

  async end({ conn }) {
    connections.get(conn).stream.end()
  },

  async destroy({ conn }) {
    connections.get(conn).stream.destroy()
  },

  async lookup({ target: hex }) {
    const keys = new Set()
    for await (const { peers } of dht.lookup(target(hex))) {
      for (const { publicKey } of peers) keys.add(publicKey.toString('hex'))
    }
    return { keys: [...keys] }
  },

  async findPeer({ key }) {
    for await (const { peer } of dht.findPeer(target(key))) return { key: peer.publicKey.toString('hex') }
    return { key: null }
  },

  async announce({ target: hex }) {
    await dht.announce(target(hex), keyPair, []).finished()
  },

  async unannounce({ target: hex }) {
    await dht.unannounce(target(hex), keyPair)
  },

  async immutablePut({ value }) {
    const { hash } = await dht.immutablePut(Buffer.from(value, 'hex'))
    return { target: hash.toString('hex') }
  },

  async immutableGet({ target: hex }) {
    const found = await dht.immutableGet(target(hex))
    return { value: found && found.value.toString('hex') }
  },

  // Nodes' refusals are in their replies, which mutablePut keeps to itself.
  async mutablePut({ value, seq }) {
    const errors = new Set()
    const request = dht.request
    dht.request = async (...args) => {
      const reply = await request.apply(dht, args)
      if (reply.error) errors.add(reply.error)
      return reply
    }
    try {
      await dht.mutablePut(keyPair, Buffer.from(value, 'hex'), { seq })
    } finally {
      dht.request = request
    }
    return { errors: [...errors] }
  },

  async mutableGet({ key }) {
    const found = await dht.mutableGet(target(key))
    return { value: found && found.value.toString('hex'), seq: found && found.seq }
  }
}

async function run({ id, do: name, ...options }) {
  const command = commands[name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())]
  try {
    report({ id, result: (await command(options)) || {} })
  } catch (error) {
    const dials = dialled.length ? ` (dials: ${dialled.join(', ')})` : ''
    report({ id, error: (error.code ? error.code + ': ' : '') + error.message + dials })
  }
}

const input = createInterface({ input: process.stdin })
input.on('line', (line) => run(JSON.parse(line)))
input.on('close', async () => {
  if (swarm) await swarm.destroy()
  process.exit(0)
})
