import type { UnitTable } from './unit.ts';

/** Scopes in force, and the units of suspended domains and tenants that came up while they were. */
export interface Suspensions {
  has(scope: string): boolean;
  add(scope: string): void;
  /** Units that were parked under the scope, which are held by nothing then. */
  end(scope: string): readonly number[];
  /** Scope that suspends the unit, sites aside. */
  scopeOf(unit: number): string | undefined;
  park(unit: number, scope: string): void;
  unpark(unit: number): void;
}

/** A site is suspended by its key or by the title that operators see. */
export const scopesOf = ({ key, title }: { readonly key: string; readonly title: string }) => [`site:${key}`, `site:${title}`] as const;

/** `domainOf` is asked only while a domain is suspended. */
export function createSuspensions({ places, flow }: UnitTable, domainOf: (unit: number) => string): Suspensions {
  const parkedBy = new Map<string, number[]>();
  let domains = 0;
  const count = (scope: string, change: number) => {
    if (scope.startsWith('domain:')) domains += change;
  };
  return {
    has: (scope) => parkedBy.has(scope),
    add(scope) {
      if (parkedBy.has(scope)) return;
      parkedBy.set(scope, []);
      count(scope, 1);
    },
    end(scope) {
      const units = parkedBy.get(scope);
      if (units === undefined) return [];
      parkedBy.delete(scope);
      count(scope, -1);
      for (const unit of units) places.set(unit, -1);
      return units;
    },
    scopeOf(unit) {
      if (parkedBy.size === 0) return undefined;
      if (parkedBy.has('all')) return 'all';
      const tenant = `tenant:${flow(unit)?.tenant}`;
      if (parkedBy.has(tenant)) return tenant;
      const domain = domains === 0 ? '' : `domain:${domainOf(unit)}`;
      return parkedBy.has(domain) ? domain : undefined;
    },
    park(unit, scope) {
      const units = parkedBy.get(scope);
      if (units === undefined) throw new RangeError(`${scope} is not suspended`);
      places.set(unit, units.push(unit) - 1);
    },
    unpark(unit) {
      const at = places.of(unit);
      for (const units of parkedBy.values()) {
        if (units[at] !== unit) continue;
        const last = units.pop();
        if (last !== undefined && last !== unit) {
          units[at] = last;
          places.set(last, at);
        }
      }
      places.set(unit, -1);
    },
  };
}
