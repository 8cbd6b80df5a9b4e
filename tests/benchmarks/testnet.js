// A DHT of Node nodes in one process, every one of which stores, the first too: testnet.py in JavaScript.
// node testnet.js COUNT [ADDRESS]
'use strict'

const dgram = require('dgram')
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')

const [count, host = '127.0.0.1'] = process.argv.slice(2)

function freePort() {
  return new Promise((resolve) => {
    const socket = dgram.createSocket('udp4').bind(0, host, () => {
      const { port } = socket.address()
      socket.close(() => resolve(port))
    })
  })
}

async function main() {
  const port = await freePort()
  // told its own address, which nobody else could tell it
  await DHT.bootstrapper(port, host).fullyBootstrapped()
  await createTestnet(Number(count) - 1, { host, bootstrap: [{ host, port }] })
  console.log(JSON.stringify({ bootstrap: [`${host}:${port}`] }))
  process.stdin.on('end', () => process.exit(0)).resume()
}

main()
