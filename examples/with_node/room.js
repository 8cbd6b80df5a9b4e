// The same room in Node.   npm install hyperswarm;  node room.js ROOM [BOOTSTRAP ...]
const crypto = require('crypto')
const Hyperswarm = require('hyperswarm')

const [room, ...bootstrap] = process.argv.slice(2)
const swarm = new Hyperswarm(bootstrap.length ? { bootstrap } : {})
swarm.on('connection', (connection) => {
  const name = connection.remotePublicKey.toString('hex').slice(0, 8)
  console.log(`${name} is here`)
  connection.on('data', (line) => console.log(`${name}: ${JSON.stringify(String(line))}`))
  connection.on('error', () => {}) // gone without a goodbye
})
swarm.join(crypto.createHash('sha256').update(room).digest())
const lines = require('readline').createInterface({ input: process.stdin })
lines.on('line', (line) => swarm.connections.forEach((connection) => connection.write(line)))
lines.on('close', () => swarm.destroy())
