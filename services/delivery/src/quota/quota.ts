import type { LimitOrder } from '@angarium/records';
import type { Quota as QuotaPort } from '@angarium/rpc';
import type { Company, Ticket } from '@angarium/scheduler';
import { createPeers } from '../peers.ts';
import type { Allowance } from './allowance.ts';
import { createAllowance } from './attempt.ts';
import { demandOf } from './demand.ts';
import { createProtocol, type Member, type Protocol } from './protocol.ts';
import { createRoom, cut, isNext, leaveUnused, type Room, roomFor, wake } from './room.ts';
import { createQuotaState, type QuotaDeps, type QuotaState, type SiteScheduler } from './state.ts';

/** What this process is to be told of the others. */
export interface Workers extends Company {
  readonly members: readonly Member[];
}

/** What waits at a limit, for the queue tools. */
export interface QuotaStanding {
  readonly why: string;
  /** 0: not known. */
  readonly untilMs: number;
}

/** The limits of the whole cluster, as this worker keeps them. Sites that no limit names are looked up once a start and that is all. */
export interface Quota {
  /** What limits the mail of a site, before anything starts there. Told again when its plan is. */
  learn(site: string, limits: readonly string[] | undefined): void;
  /** Names of the limits that hold for a site, as it was learnt. */
  limitsOf(site: string): readonly string[];
  /** For the scheduler: 0, or infinite until the site is reopened. */
  gate(site: string): number;
  began(ticket: Ticket): void;
  ended(ticket: Ticket): void;
  /** Undefined: nothing limits it. */
  allowance(ticket: Ticket, limits: readonly string[] | undefined): Allowance | undefined;
  standing(site: string): QuotaStanding | undefined;
  /** Values that hold from now on instead of the configured ones; undefined: those. */
  order(name: string, order: LimitOrder | undefined): void;
  /** For the other workers. */
  readonly port: QuotaPort;
  /** @param pump more may start than before */
  start(workers: () => Workers, pump: () => void): void;
  stop(): void;
}

const TICK_MS = 100;
const MOST_SITES = 20_000;

function roomOf({ rooms }: QuotaState, key: string): Room {
  const room = rooms.get(key) ?? createRoom(key);
  rooms.set(key, room);
  return room;
}

const roomsOf = (state: QuotaState, limits: readonly string[] = []): readonly Room[] =>
  limits.filter((key) => state.limitOf(key) !== undefined).map((key) => roomOf(state, key));

function learn(state: QuotaState, site: string, limits: readonly string[] | undefined): void {
  const { sites } = state;
  sites.delete(site);
  if (limits === undefined || limits.length === 0) return;
  sites.set(site, roomsOf(state, limits));
  const oldest = sites.size > MOST_SITES ? sites.keys().next().value : undefined;
  if (oldest !== undefined) sites.delete(oldest);
}

function gate(state: QuotaState, site: string): number {
  const rooms = state.sites.get(site);
  if (rooms === undefined) return 0;
  const now = state.deps.now();
  const full = rooms.find((room) => !isNext(room, site, roomFor(room, state.grantee, now)));
  if (full === undefined) {
    for (const room of rooms) room.waiting.delete(site);
    return 0;
  }
  if (!full.waiting.has(site)) state.meters.waited.inc({ for: 'start' });
  full.waiting.add(site);
  return Number.POSITIVE_INFINITY;
}

/** Those sites that are next, as many as there is room for, are asked for again; and those that have nothing to start. */
function callNext(state: QuotaState, room: Room): boolean {
  const { grantee, deps } = state;
  const scheduler = state.scheduler();
  const nowMs = deps.clock.nowMs();
  let free = roomFor(room, grantee, deps.now());
  let hasCalled = false;
  for (const key of room.waiting) {
    const site = scheduler.site(key);
    const canStart = site !== undefined && site.ready > 0 && !site.suspended && site.closedUntilMs <= nowMs;
    if (!canStart) room.waiting.delete(key);
    else if (free-- <= 0) break;
    scheduler.reopen(key, nowMs);
    hasCalled ||= canStart;
  }
  return hasCalled;
}

function end(state: QuotaState, ticket: Ticket): void {
  const start = state.starts.get(ticket);
  if (start === undefined) return;
  state.starts.delete(ticket);
  for (const room of start.rooms) {
    room.starts--;
    if (!start.hasSent) room.unsent--;
    callNext(state, room);
  }
}

function tellGauges({ meters, grantee, deps, rooms }: QuotaState): void {
  const now = deps.now();
  for (const { key, waiting } of rooms.values()) {
    const { granted, open } = grantee.view(key, now);
    const labels = { limit: key };
    if (Number.isFinite(granted.connections)) meters.connections.set(granted.connections, labels);
    if (Number.isFinite(granted.messages)) meters.messages.set(granted.messages, labels);
    meters.open.set(open, labels);
    meters.waiting.set(waiting.size, labels);
  }
}

/** True: something may start that could not before. */
function settleRooms(state: QuotaState): boolean {
  let mayStart = false;
  const now = state.deps.now();
  for (const room of state.rooms.values()) {
    leaveUnused(room, state.grantee.mayKeep(room.key, now));
    wake(room);
    if (callNext(state, room)) mayStart = true;
  }
  return mayStart;
}

function standing(state: QuotaState, site: string): QuotaStanding | undefined {
  const { grantee, deps } = state;
  const room = state.sites.get(site)?.find(({ waiting }) => waiting.has(site));
  if (room === undefined) return undefined;
  const limit = state.limitOf(room.key);
  const now = deps.now();
  const parts = [
    ...(limit?.connections === undefined ? [] : [`${limit.connections} connections`]),
    ...(limit?.messages === undefined ? [] : [`${limit.messages} messages in ${limit.perMs} ms`]),
  ];
  const inMs = grantee.sendsInMs(room.key, now);
  const isGranted = grantee.mayKeep(room.key, now) > 0;
  const part = isGranted ? 'this worker’s part of it is in use' : 'this worker waits for its part of it';
  return {
    why: `the limit ${room.key}, ${parts.join(' and ')} for all workers together: ${part}`,
    untilMs: inMs > 0 && Number.isFinite(inMs) ? deps.clock.nowMs() + Math.ceil(inMs) : 0,
  };
}

function obey(state: QuotaState, name: string, order: LimitOrder | undefined): void {
  state.order(name, order);
  state.grantee.hurry(name, state.deps.now());
}

/** Tells both sides what is wanted and who lives, and does what they want. */
function look(state: QuotaState, protocol: Protocol, workers: Workers): void {
  const { grantee, rooms, sites, meters, deps } = state;
  const moment = { scheduler: state.scheduler(), nowMs: deps.clock.nowMs() };
  for (const [key, room] of rooms) grantee.demand(key, demandOf(room, sites, moment));
  protocol.tick(workers, (key) => {
    const room = roomOf(state, key);
    for (const { isDotted } of room.slots) if (!isDotted) meters.cut.inc();
    cut(room);
  });
  tellGauges(state);
}

export function createQuota(deps: QuotaDeps, scheduler: () => SiteScheduler): Quota {
  const state = createQuotaState(deps, scheduler);
  const { starts, sites } = state;
  const peers = deps.connect && createPeers(deps.connect);
  const protocol = createProtocol(state, peers, (key) => {
    const room = state.rooms.get(key);
    if (room === undefined) return;
    wake(room);
    if (callNext(state, room)) pump();
  });
  let pump = (): void => {};
  let callOff: (() => void) | undefined;
  const tick = (workers: () => Workers): void => {
    look(state, protocol, workers());
    if (settleRooms(state)) pump();
    callOff = deps.clock.after(TICK_MS, () => tick(workers));
  };
  return {
    port: protocol.port,
    learn: (site, limits) => learn(state, site, limits),
    limitsOf: (site) => (sites.get(site) ?? []).map(({ key }) => key),
    gate: (site) => gate(state, site),
    began(ticket) {
      const rooms = sites.get(ticket.site.key);
      if (rooms === undefined) return;
      starts.set(ticket, { rooms, hasSent: false });
      for (const room of rooms) {
        room.starts++;
        room.unsent++;
      }
    },
    ended: (ticket) => end(state, ticket),
    allowance(ticket, limits) {
      const rooms = roomsOf(state, limits);
      if (rooms.length === 0) return undefined;
      const onSent = () => {
        const start = starts.get(ticket);
        if (start === undefined || start.hasSent) return;
        start.hasSent = true;
        for (const room of start.rooms) {
          room.unsent--;
          if (callNext(state, room)) pump();
        }
      };
      return createAllowance(state, rooms, onSent);
    },
    standing: (site) => standing(state, site),
    order: (name, order) => obey(state, name, order),
    start(workers, onRoom) {
      pump = onRoom;
      tick(workers);
    },
    stop() {
      callOff?.();
      peers?.keep(new Set());
    },
  };
}
