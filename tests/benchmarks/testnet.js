// A DHT of Node nodes on 127.0.0.1, every one of which stores, the first too.   node testnet.js COUNT
// The first line of output is what `swarm testnet --json` prints.
'use strict'

const dgram = require('dgram')
const DHT = require('hyperdht')
const createTestnet = require('hyperdht/testnet')

const host = '127.0.0.1'

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
  await createTestnet(Number(process.argv[2]) - 1, { bootstrap: [{ host, port }] })
  console.log(JSON.stringify({ bootstrap: [`${host}:${port}`] }))
  process.stdin.on('end', () => process.exit(0)).resume()
}

main()
