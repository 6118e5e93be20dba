export * from './codec.ts';
export * from './gen/angarium/log/v1/records.ts';
export * from './queue-id.ts';
