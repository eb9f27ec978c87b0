import type { Route } from '#contract/registry.ts';
import { check } from '#contract/validation.ts';
import type { RouteContext, RoutingInput } from '../compile.ts';
import type { Dependencies } from '../dependencies.ts';
import { answered, type Phase, type PhaseResult, type ResponsePhase } from '../pipeline.ts';
import { Refusal } from '../refusal.ts';
import type { Policy, PolicyPlace, RequestPolicy, ResponsePolicy } from './policy.ts';

/** The phases of a route's own policies at one place, in the order in which the route names them. */
export function policiesAt(
  place: Exclude<PolicyPlace, 'response'>,
): (context: RouteContext, dependencies: Dependencies) => readonly Phase[] {
  return ({ route }, { policies, policyTools }) =>
    chosen(route, policies, place).map(([policy, config]) =>
      contain(policy.name, (policy as RequestPolicy).create(config as never, policyTools)),
    );
}

export function responsePolicies(
  { route }: RouteContext,
  { policies, policyTools }: Dependencies,
): readonly ResponsePhase[] {
  return chosen(route, policies, 'response').map(([policy, config]) =>
    (policy as ResponsePolicy).create(config as never, policyTools),
  );
}

/** What is wrong with the policies that routes name: unknown names, configuration against the schema. */
export function checkPolicies(
  { routes }: RoutingInput,
  policies: ReadonlyMap<string, Policy>,
): readonly string[] {
  const problems: string[] = [];
  for (const route of routes.values()) {
    for (const { name, config } of route.policies ?? []) {
      const policy = policies.get(name);
      if (policy === undefined)
        problems.push(`route ${route.id}: there is no policy ${JSON.stringify(name)}`);
      else {
        for (const { pointer, detail } of check(policy.schema, config ?? {})) {
          problems.push(`route ${route.id}: policy ${name}: ${pointer === '' ? '' : `${pointer} `}${detail}`);
        }
      }
    }
  }
  return problems;
}

function chosen(
  route: Route,
  policies: ReadonlyMap<string, Policy>,
  place: PolicyPlace,
): (readonly [Policy, unknown])[] {
  const found: (readonly [Policy, unknown])[] = [];
  for (const { name, config } of route.policies ?? []) {
    const policy = policies.get(name);
    // A route without the checks that it names is not put in force.
    if (policy === undefined)
      throw new Error(`route ${route.id}: there is no policy ${JSON.stringify(name)}`);
    if (policy.place === place) found.push([policy, config ?? {}]);
  }
  return found;
}

/** Whatever a policy returns besides what a phase may is its fault, which ends the request and nothing else. */
function contain(name: string, phase: Phase): Phase {
  const checked = (result: PhaseResult): PhaseResult => {
    if (result === undefined || result === answered || result instanceof Refusal) return result;
    throw new TypeError(`policy ${name} returned neither undefined, a refusal nor "answered"`);
  };
  return (exchange) => {
    const result = phase(exchange) as PhaseResult | PromiseLike<PhaseResult>;
    if (typeof result === 'object' && 'then' in result) return Promise.resolve(result).then(checked);
    return checked(result);
  };
}
