// peer.py on Node's packages: the same environment, the same lines.   node peer.js server|client
// NETLAB_RELAY_HOST tells it the relay's address, by which it knows a relayed connection.
const Hyperswarm = require('hyperswarm')

const role = process.argv[2]
const env = process.env
const bootstrap = env.NETLAB_BOOTSTRAP.split(',').map((a) => {
  const [host, port] = a.split(':')
  return { host, port: Number(port) }
})
const topic = Buffer.from(env.NETLAB_TOPIC, 'hex')
const opts = { bootstrap }
if (env.NETLAB_RELAY) opts.relayThrough = Buffer.from(env.NETLAB_RELAY, 'hex')

const start = process.hrtime.bigint()
const seconds = () => (Number(process.hrtime.bigint() - start) / 1e9).toFixed(3)
const where = (conn) => {
  const raw = conn.rawStream
  if (!raw || !raw.remoteHost) return null
  return { addr: raw.remoteHost + ':' + raw.remotePort, kind: raw.remoteHost === env.NETLAB_RELAY_HOST ? 'relayed' : 'direct' }
}

const swarm = new Hyperswarm(opts)
let reported = false

swarm.on('connection', (conn) => {
  let timer = null
  const opened = where(conn)
  console.log('INFO opened ' + (opened ? opened.addr + ' ' + opened.kind : '?') + ' ' + seconds())
  conn.on('error', (err) => console.log('INFO error ' + (err.code || err.message) + ' ' + seconds()))
  conn.on('close', () => {
    clearInterval(timer)
    console.log('INFO closed ' + seconds())
  })
  const done = () => {
    if (reported) return
    const w = where(conn)
    if (!w) return
    reported = true
    console.log('CONNECTED ' + w.addr + ' ' + w.kind + ' ' + seconds())
    if (w.kind === 'direct') return
    timer = setInterval(() => {
      const now = where(conn)
      if (now && now.kind === 'direct') {
        clearInterval(timer)
        console.log('UPGRADED ' + now.addr + ' direct ' + seconds())
      }
    }, 20)
  }
  if (role === 'client') {
    conn.on('data', done)
    conn.write('ping')
    if (env.NETLAB_PING) {
      const pings = setInterval(() => conn.write('@' + Date.now() + '@'), 200)
      conn.on('close', () => clearInterval(pings))
      conn.on('data', (data) => {
        for (const sent of data.toString().match(/\d+/g) || []) console.log('PONG ' + sent)
      })
    }
  } else {
    conn.on('data', (data) => {
      conn.write(data)
      done()
    })
  }
})

async function main() {
  swarm.dht.fullyBootstrapped().then(() => console.log('INFO bootstrapped ' + seconds()), () => {})
  const discovery = swarm.join(topic, { server: role === 'server', client: role === 'client' })
  await discovery.flushed()
  const d = swarm.dht
  console.log('INFO nat firewalled=' + d.firewalled + ' host=' + d.host + ' port=' + d.port + ' ' + seconds())
  if (role === 'server') console.log('READY')
}

main().catch((err) => {
  console.error(err)
  process.exit(1)
})
