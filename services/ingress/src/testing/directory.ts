import { CheckResult, type Directory, Unavailable } from '@angarium/rpc';
import { canonicalAddress } from '@angarium/smtp';

export interface FakeDirectory extends Directory {
  isDown: boolean;
  /** Forward-paths asked about, one list a request. */
  readonly asked: string[][];
}

const LOCAL = ['ann@here.example', 'bob@here.example', '"a b"@here.example', 'büro@here.example'];
const DISABLED = ['old@here.example'];
const PASSWORD = 'secret';

/** Hosts here.example with ann, bob and the disabled old; ann owns her subaddresses and sales@here.example. */
export function createFakeDirectory(): FakeDirectory {
  const judge = (path: string): CheckResult => {
    if (path.toLowerCase() === 'postmaster') return CheckResult.LOCAL;
    const address = canonicalAddress(path);
    if (!address.endsWith('@here.example')) return CheckResult.REMOTE;
    if (DISABLED.includes(address)) return CheckResult.DISABLED;
    return LOCAL.includes(address) || /^u\d+@/.test(address) ? CheckResult.LOCAL : CheckResult.UNKNOWN_USER;
  };
  const owns = (address: string) => /^(ann(\+.*)?|sales)@here\.example$/.test(canonicalAddress(address));
  const never = async (): Promise<never> => Promise.reject(new Unavailable('not asked by ingress'));
  const directory: FakeDirectory = {
    isDown: false,
    asked: [],
    async check({ forwardPaths }) {
      directory.asked.push(forwardPaths);
      if (directory.isDown) throw new Unavailable('down');
      return { results: forwardPaths.map(judge) };
    },
    async owns({ account, addresses }) {
      if (directory.isDown) throw new Unavailable('down');
      return { owned: addresses.map((address) => account === 'ann@here.example' && owns(address)) };
    },
    async authenticate({ login, password }) {
      if (directory.isDown) throw new Unavailable('down');
      const accepted = ['ann', 'ann@here.example'].includes(login) && password === PASSWORD;
      return { accepted, account: accepted ? 'ann@here.example' : '' };
    },
    expand: never,
    transport: never,
    account: never,
  };
  return directory;
}
