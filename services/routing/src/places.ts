import type { Log } from '@angarium/log';

/** Name under which routing's positions are committed. */
export const GROUP = 'routing';
export const ROUTED_TOPICS = ['mail.in', 'mail.in.bulk'] as const;
export type RoutedTopic = (typeof ROUTED_TOPICS)[number];

export interface Place {
  readonly topic: RoutedTopic;
  readonly partition: number;
}

export const nameOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string => `${topic}/${partition}`;

/** Every partition that routing reads. */
export function placesOf(log: Log): readonly Place[] {
  return ROUTED_TOPICS.flatMap((topic) => Array.from({ length: log.partitions(topic) }, (_, partition) => ({ topic, partition })));
}
