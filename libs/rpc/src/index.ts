export * from './gen/angarium/directory/v1/admin.ts';
export * from './gen/angarium/directory/v1/directory.ts';
export * from './gen/angarium/mailbox/v1/mailbox.ts';
export * from './gen/angarium/queue/v1/queue.ts';
export * from './ports.ts';
