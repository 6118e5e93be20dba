/** Name under which routing's positions are committed. */
export const GROUP = 'routing';
export const ROUTED_TOPICS = ['mail.in', 'mail.in.bulk'] as const;

export const nameOf = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string => `${topic}/${partition}`;
