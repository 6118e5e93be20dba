import { readFile } from 'node:fs/promises';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import Connection, { type Protocol } from 'kafkajs/src/network/connection.js';
import createSocketFactory from 'kafkajs/src/network/socketFactory.js';
import kafkaErrors from 'kafkajs/src/protocol/error.js';
import apiKeys from 'kafkajs/src/protocol/requests/apiKeys.js';
import protocols, { type Versions } from 'kafkajs/src/protocol/requests/index.js';

/*
 * The one place that knows kafkajs: its connections and its encoding of requests, without its cluster, producer, consumer and
 * retries. Those lose acknowledged records when a batch spans leaders, wait half a minute for a stopped broker, jump silently
 * to another offset, and burn a timer per connection when idle.
 */

/** How brokers are reached. Files are read at each new connection: a renewed certificate or password needs no restart. */
export interface KafkaAccess {
  readonly clientId: string;
  readonly connectTimeoutMs: number;
  readonly tls?: { readonly authorityFile?: string; readonly certificateFile?: string; readonly keyFile?: string };
  readonly sasl?: { readonly mechanism: SaslMechanism; readonly login: string; readonly passwordFile: string };
}
export type SaslMechanism = 'plain' | 'scram-sha-256' | 'scram-sha-512';

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** Trouble with a broker or the way to it. `isSent`: the request may have been carried out all the same. */
export class BrokerTrouble extends Error {
  override readonly name = 'BrokerTrouble';
  readonly isSent: boolean;
  /** No answer in time, as a stopped broker gives none: better not asked again soon. */
  readonly isSilent: boolean;
  constructor(message: string, o: { isSent: boolean; isSilent: boolean; cause?: unknown }) {
    super(message, { cause: o.cause });
    this.isSent = o.isSent;
    this.isSilent = o.isSilent;
  }
}

/** Body of a request that is encoded here, and what reads the response. */
export interface OwnRequest<T> {
  readonly apiName: 'Produce' | 'Fetch';
  readonly apiVersion: number;
  readonly body: Buffer;
  readonly decode: (payload: Buffer) => T;
}

const names = new Map(kafkaErrors.errorCodes.map(({ code, type, message }) => [code, `${type}: ${message}`]));
/** "NOT_ENOUGH_REPLICAS: …" */
export const errorName = (code: number): string => names.get(code) ?? `error ${code}`;

const silent = { namespace: () => silent, debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const socketFactory = createSocketFactory();
const API_VERSIONS_VERSION = 2;

async function tlsOptions({ tls }: KafkaAccess): Promise<TlsOptions | null> {
  if (tls === undefined) return null;
  const read = async (file: string | undefined) => (file === undefined ? undefined : readFile(file));
  const [ca, cert, key] = [await read(tls.authorityFile), await read(tls.certificateFile), await read(tls.keyFile)];
  return { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
}

async function saslOptions({ sasl }: KafkaAccess) {
  if (sasl === undefined) return null;
  const password = (await readFile(sasl.passwordFile, 'utf8')).replace(/\r?\n$/, '');
  return { mechanism: sasl.mechanism, username: sasl.login, password };
}

function destroy(connection: Connection, reason: Error): void {
  connection.rejectRequests(reason);
  connection.requestQueue.destroy();
  connection.socket?.destroy();
}

type Encode = (apiName: string, args: object) => Protocol;

interface Opened {
  readonly connection: Connection;
  readonly encode: Encode;
}

async function open({ host, port }: BrokerAddress, access: KafkaAccess): Promise<Opened> {
  const connection = new Connection({
    host,
    port,
    clientId: access.clientId,
    logger: silent,
    socketFactory,
    requestTimeout: access.connectTimeoutMs,
    connectionTimeout: access.connectTimeoutMs,
    // Each request has its own time limit here; kafkajs looks ten times a second.
    enforceRequestTimeout: false,
    ssl: await tlsOptions(access),
    sasl: await saslOptions(access),
  });
  // kafkajs plans a look at its waiting requests for a time in the past after each response, and so each millisecond.
  const { requestQueue } = connection;
  const schedule = requestQueue.scheduleCheckPendingRequests;
  requestQueue.scheduleCheckPendingRequests = () => {
    if (requestQueue.pending.length > 0) schedule.call(requestQueue);
  };
  const late = setTimeout(() => destroy(connection, new Error('no answer to the handshake')), access.connectTimeoutMs * 2);
  try {
    await connection.connect();
    const answer = await connection.send(define('ApiVersions', API_VERSIONS_VERSION)({}));
    const { apiVersions } = answer as { apiVersions: readonly { apiKey: number; minVersion: number; maxVersion: number }[] };
    const versions: Versions = Object.fromEntries(apiVersions.map(({ apiKey, ...range }) => [apiKey, range]));
    connection.setVersions(versions);
    connection.setSupportAuthenticationProtocol(true);
    await connection.authenticate();
    const lookup = protocols.lookup(versions);
    const encode: Encode = (apiName, args) => lookup(keyOf(apiName), definitionOf(apiName))(args);
    return { connection, encode };
  } catch (error) {
    destroy(connection, error as Error);
    throw error;
  } finally {
    clearTimeout(late);
  }
}

const keyOf = (apiName: string): number => apiKeys[apiName] ?? -1;

function definitionOf(apiName: string) {
  const definition = protocols.requests[apiName];
  if (definition === undefined) throw new Error(`kafkajs knows no request ${apiName}`);
  return definition;
}

const define = (apiName: string, version: number) => definitionOf(apiName).protocol({ version });

/** kafkajs throws by error code when it parses: a single partition's error would hide the others. */
const unparsed = ({ request, response }: Protocol): Protocol => ({ request, response: { decode: response.decode, parse: (all) => all } });

function ownProtocol<T>({ apiName, apiVersion, body, decode }: OwnRequest<T>): Protocol {
  const encode = async () => ({ buf: body, buffer: body });
  return {
    request: { apiKey: keyOf(apiName), apiVersion, apiName, encode },
    response: { decode: async (payload) => ({ decoded: decode(payload) }), parse: (all) => (all as { decoded: unknown }).decoded },
  };
}

interface Waiting {
  readonly protocol: (encode: Encode) => Protocol;
  readonly timeoutMs: number;
  readonly resolve: (response: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** One connection to a broker, opened when it is first used. One request at a time, as the broker serves them. */
export class BrokerConnection {
  readonly #address: BrokerAddress;
  readonly #access: KafkaAccess;
  readonly #name: string;
  readonly #waiting: Waiting[] = [];
  #opened: Opened | undefined;
  #isRunning = false;
  #isClosed = false;

  constructor(address: BrokerAddress, access: KafkaAccess) {
    this.#address = address;
    this.#access = access;
    this.#name = `${address.host}:${address.port}`;
  }

  /** Response as it was decoded: error codes are the caller's to look at. @throws BrokerTrouble */
  call(apiName: string, args: object, timeoutMs: number): Promise<unknown> {
    return this.#enqueue((encode) => unparsed(encode(apiName, args)), timeoutMs);
  }

  /** @throws BrokerTrouble */
  async ask<T>(request: OwnRequest<T>, timeoutMs: number): Promise<T> {
    return (await this.#enqueue(() => ownProtocol(request), timeoutMs)) as T;
  }

  close(): void {
    this.#isClosed = true;
    this.#drop(new Error('closed'));
    this.#rejectWaiting(new BrokerTrouble(`connection to ${this.#name} is closed`, { isSent: false, isSilent: false }));
  }

  #enqueue(protocol: Waiting['protocol'], timeoutMs: number): Promise<unknown> {
    if (this.#isClosed)
      return Promise.reject(new BrokerTrouble(`connection to ${this.#name} is closed`, { isSent: false, isSilent: false }));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ protocol, timeoutMs, resolve, reject });
      if (this.#isRunning) return;
      this.#isRunning = true;
      void this.#run();
    });
  }

  async #run(): Promise<void> {
    for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) {
      try {
        next.resolve(await this.#send(await this.#connect(), next));
      } catch (error) {
        next.reject(error);
        // Whoever waits behind it would wait as long for the same trouble.
        const isSilent = error instanceof BrokerTrouble && error.isSilent;
        this.#rejectWaiting(new BrokerTrouble(reasonOf(error), { isSent: false, isSilent }));
      }
    }
    this.#isRunning = false;
  }

  #rejectWaiting(trouble: BrokerTrouble): void {
    for (const { reject } of this.#waiting.splice(0)) reject(trouble);
  }

  async #connect(): Promise<Opened> {
    if (this.#opened?.connection.isConnected()) return this.#opened;
    try {
      const opened = await open(this.#address, this.#access);
      opened.connection.socket?.once('close', () => {
        if (this.#opened === opened) this.#opened = undefined;
      });
      this.#opened = opened;
      if (this.#isClosed) this.#drop(new Error('closed'));
      return opened;
    } catch (error) {
      const isSilent = /timeout|no answer/.test(reasonOf(error));
      throw new BrokerTrouble(`cannot connect to broker ${this.#name}: ${reasonOf(error)}`, { isSent: false, isSilent, cause: error });
    }
  }

  async #send({ connection, encode }: Opened, { protocol, timeoutMs }: Waiting): Promise<unknown> {
    let isSilent = false;
    const late = setTimeout(() => {
      isSilent = true;
      this.#drop(new Error(`no answer within ${timeoutMs} ms`));
    }, timeoutMs);
    try {
      return await connection.send({ ...protocol(encode), requestTimeout: timeoutMs, logResponseError: false });
    } catch (error) {
      this.#drop(error as Error);
      throw new BrokerTrouble(`broker ${this.#name}: ${reasonOf(error)}`, { isSent: true, isSilent, cause: error });
    } finally {
      clearTimeout(late);
    }
  }

  #drop(reason: Error): void {
    if (this.#opened) destroy(this.#opened.connection, reason);
    this.#opened = undefined;
  }
}
