import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Database } from '../database/database.ts';
import type { Step } from './provisioning.ts';
import { countByStatus, type OnboardingStatus } from './queries.ts';

/** What happens while onboardings are provisioned, for metrics. */
export interface OnboardingEvents {
  onStep(step: Step, durationMs: number): void;
  onFailure(step: Step): void;
}

const statuses: readonly OnboardingStatus[] = [
  'pending',
  'provisioning',
  'activated',
  'completed',
  'failed',
  'deleting',
];

export function measureOnboardings(registry: Registry, db: Database): OnboardingEvents {
  const registers = [registry];
  new Gauge({
    name: 'tollgate_onboardings',
    help: 'Onboardings by status.',
    labelNames: ['status'],
    registers,
    async collect() {
      const counts = new Map((await countByStatus(db)).map(({ status, n }) => [status, n]));
      for (const status of statuses) this.labels(status).set(counts.get(status) ?? 0);
    },
  });
  const durations = new Histogram({
    name: 'tollgate_onboarding_step_duration_seconds',
    help: 'How long the steps of provisioning took.',
    labelNames: ['step'],
    buckets: [0.005, 0.025, 0.1, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  });
  const failures = new Counter({
    name: 'tollgate_onboarding_failures_total',
    help: 'Attempts at provisioning that failed, by the step they failed at.',
    labelNames: ['step'],
    registers,
  });
  return {
    onStep: (step, durationMs) => durations.labels(step).observe(durationMs / 1000),
    onFailure: (step) => failures.labels(step).inc(),
  };
}
