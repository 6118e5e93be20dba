// Asks each listener for its greeting, from inside the cluster. Arguments: host:port=what its greeting begins with.
import { connect } from 'node:net';

const DEADLINE_MS = 30_000;

/** A listener that has just begun may be refused for a moment by the network of services. */
async function greeting(host, port) {
  for (const startedMs = performance.now(); ; ) {
    try {
      return await new Promise((resolve, reject) => {
        const socket = connect({ host, port: Number(port), timeout: 5000 });
        socket.once('data', (data) => {
          resolve(String(data).trim());
          socket.destroy();
        });
        socket.once('timeout', () => socket.destroy(new Error('no greeting within 5 s')));
        socket.once('error', reject);
      });
    } catch (error) {
      if (performance.now() - startedMs > DEADLINE_MS) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
}

for (const argument of process.argv.slice(2)) {
  const [, host, port, wanted] = /^(.+):(\d+)=(.*)$/.exec(argument);
  const said = await greeting(host, port);
  console.log(`${host}:${port}: ${said}`);
  if (!said.startsWith(wanted)) throw new Error(`${host}:${port} should greet with ${wanted}`);
}
