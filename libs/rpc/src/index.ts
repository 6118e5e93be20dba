export type { MutualTls, RpcAddress } from './address.ts';
export { connectDirectory, connectDirectoryAdmin, connectMailbox, connectQueue, connectQuota, type RpcClientOptions } from './client.ts';
export * from './gen/angarium/directory/v1/admin.ts';
export * from './gen/angarium/directory/v1/directory.ts';
export * from './gen/angarium/mailbox/v1/mailbox.ts';
export * from './gen/angarium/queue/v1/queue.ts';
export * from './gen/angarium/quota/v1/quota.ts';
export * from './ports.ts';
export { type RpcServerOptions, type RpcServices, serveRpc } from './server.ts';
