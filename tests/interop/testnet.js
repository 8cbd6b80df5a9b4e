// A DHT of Node nodes on 127.0.0.1, until the end of input.   node testnet.js COUNT
// The first line of output is what `swarm testnet --json` prints.
'use strict'

const createTestnet = require('hyperdht/testnet')

async function main() {
  const testnet = await createTestnet(Number(process.argv[2]))
  const bootstrap = testnet.bootstrap.map((node) => node.host + ':' + node.port)
  console.log(JSON.stringify({ bootstrap }))
  process.stdin.on('end', () => process.exit(0)).resume()
}

main()
