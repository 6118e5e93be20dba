// What connection.ts uses of kafkajs 2.2.4 below its public door. connection.test.ts fails when a release moves any of it.

declare module 'kafkajs/src/network/connection.js' {
  import type { Socket } from 'node:net';
  import type { ConnectionOptions as TlsOptions } from 'node:tls';

  interface Logger {
    namespace(name: string): Logger;
    debug(message: string, extra?: object): void;
    info(message: string, extra?: object): void;
    warn(message: string, extra?: object): void;
    error(message: string, extra?: object): void;
  }
  export interface Protocol {
    readonly request: {
      readonly apiKey: number;
      readonly apiVersion: number;
      readonly apiName: string;
      readonly encode: () => Promise<{ readonly buf: Buffer; readonly buffer: Buffer }>;
    };
    readonly response: { readonly decode: (payload: Buffer) => Promise<unknown>; readonly parse: (decoded: unknown) => unknown };
  }
  export default class Connection {
    constructor(options: {
      readonly host: string;
      readonly port: number;
      readonly clientId: string;
      readonly logger: Logger;
      readonly socketFactory: unknown;
      readonly requestTimeout: number;
      readonly connectionTimeout: number;
      readonly enforceRequestTimeout: boolean;
      readonly ssl: TlsOptions | null;
      readonly sasl: { readonly mechanism: string; readonly username: string; readonly password: string } | null;
    });
    readonly socket: Socket | undefined;
    readonly requestQueue: { readonly pending: readonly unknown[]; scheduleCheckPendingRequests: () => void; destroy(): void };
    connect(): Promise<boolean>;
    isConnected(): boolean;
    setVersions(versions: object): void;
    setSupportAuthenticationProtocol(isSupported: boolean): void;
    authenticate(): Promise<void>;
    send(protocol: Protocol & { readonly requestTimeout?: number; readonly logResponseError?: boolean }): Promise<unknown>;
    rejectRequests(error: Error): void;
  }
}

declare module 'kafkajs/src/network/socketFactory.js' {
  export default function createSocketFactory(): unknown;
}

declare module 'kafkajs/src/protocol/requests/index.js' {
  import type { Protocol } from 'kafkajs/src/network/connection.js';

  interface Definition {
    readonly versions: readonly string[];
    readonly protocol: (o: { readonly version: number }) => (args: object) => Protocol;
  }
  export type Versions = Readonly<Record<number, { readonly minVersion: number; readonly maxVersion: number }>>;
  const door: {
    readonly requests: Readonly<Record<string, Definition>>;
    readonly lookup: (versions: Versions) => (apiKey: number, definition: Definition) => (args: object) => Protocol;
  };
  export default door;
}

declare module 'kafkajs/src/protocol/requests/apiKeys.js' {
  const apiKeys: Readonly<Record<string, number>>;
  export default apiKeys;
}

declare module 'kafkajs/src/protocol/error.js' {
  const door: { readonly errorCodes: readonly { readonly type: string; readonly code: number; readonly message: string }[] };
  export default door;
}

// What tests compare our encoding with.
declare module 'kafkajs/src/protocol/decoder.js' {
  export default class Decoder {
    constructor(octets: Buffer);
  }
}

declare module 'kafkajs/src/protocol/recordBatch/v0/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';
  export default function decodeRecordBatch(
    decoder: Decoder,
  ): Promise<{ readonly records: readonly { readonly offset: string; readonly timestamp: string; readonly value: Buffer | null }[] }>;
}
