import type { Unit } from './unit.ts';

/** Scopes in force, and the units of suspended domains and tenants that came up while they were. */
export interface Suspensions {
  has(scope: string): boolean;
  add(scope: string): void;
  /** Units that were parked under the scope, which are held by nothing then. */
  end(scope: string): readonly Unit[];
  /** Scope that suspends the unit, sites aside. */
  scopeOf(unit: Unit): string | undefined;
  park(unit: Unit, scope: string): void;
  unpark(unit: Unit): void;
}

/** A site is suspended by its key or by the title that operators see. */
export const scopesOf = ({ key, title }: { readonly key: string; readonly title: string }) => [`site:${key}`, `site:${title}`] as const;

export function createSuspensions(): Suspensions {
  const parkedBy = new Map<string, Unit[]>();
  return {
    has: (scope) => parkedBy.has(scope),
    add(scope) {
      if (!parkedBy.has(scope)) parkedBy.set(scope, []);
    },
    end(scope) {
      const units = parkedBy.get(scope) ?? [];
      parkedBy.delete(scope);
      for (const unit of units) {
        unit.at = -1;
        unit.scope = '';
      }
      return units;
    },
    scopeOf(unit) {
      if (parkedBy.size === 0) return undefined;
      if (parkedBy.has('all')) return 'all';
      const tenant = `tenant:${unit.tenant}`;
      if (parkedBy.has(tenant)) return tenant;
      const domain = `domain:${unit.domain}`;
      return parkedBy.has(domain) ? domain : undefined;
    },
    park(unit, scope) {
      const units = parkedBy.get(scope);
      if (units === undefined) throw new RangeError(`${scope} is not suspended`);
      unit.at = units.push(unit) - 1;
      unit.scope = scope;
      unit.place = 'parked';
    },
    unpark(unit) {
      const units = parkedBy.get(unit.scope);
      const last = units?.pop();
      if (units !== undefined && last !== undefined && last !== unit) {
        units[unit.at] = last;
        last.at = unit.at;
      }
      unit.at = -1;
      unit.scope = '';
    },
  };
}
