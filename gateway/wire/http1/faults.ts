import type { ProblemCode } from '#contract/problems.ts';

/** What can be wrong with a message on the wire, the problem it is answered with, and where the rule stands. */
export const requestFaults = {
  request_line: { code: 'malformed_request', section: 'RFC 9112 3' },
  method_too_long: { code: 'not_implemented', section: 'RFC 9112 3' },
  method_unsupported: { code: 'not_implemented', section: 'RFC 9110 9.1' },
  target_invalid: { code: 'malformed_request', section: 'RFC 9112 3.2' },
  target_too_long: { code: 'target_too_long', section: 'RFC 9112 3' },
  version_invalid: { code: 'malformed_request', section: 'RFC 9112 2.3' },
  version_unsupported: { code: 'http_version_unsupported', section: 'RFC 9110 15.6.6' },
  bare_cr: { code: 'malformed_request', section: 'RFC 9112 2.2' },
  bare_lf: { code: 'malformed_request', section: 'RFC 9112 2.2' },
  leading_space: { code: 'malformed_request', section: 'RFC 9112 2.2' },
  obs_fold: { code: 'malformed_request', section: 'RFC 9112 5.2' },
  field_name: { code: 'malformed_request', section: 'RFC 9110 5.1' },
  space_before_colon: { code: 'malformed_request', section: 'RFC 9112 5.1' },
  field_value: { code: 'malformed_request', section: 'RFC 9110 5.5' },
  too_many_fields: { code: 'header_too_large', section: 'RFC 6585 5' },
  head_too_large: { code: 'header_too_large', section: 'RFC 6585 5' },
  host_missing: { code: 'malformed_request', section: 'RFC 9112 3.2' },
  host_repeated: { code: 'malformed_request', section: 'RFC 9112 3.2' },
  host_invalid: { code: 'malformed_request', section: 'RFC 9112 3.2' },
  host_mismatch: { code: 'malformed_request', section: 'RFC 9112 3.2.2' },
  length_invalid: { code: 'malformed_request', section: 'RFC 9110 8.6' },
  length_repeated: { code: 'malformed_request', section: 'RFC 9112 6.3' },
  length_with_coding: { code: 'malformed_request', section: 'RFC 9112 6.1' },
  coding_invalid: { code: 'malformed_request', section: 'RFC 9112 6.3' },
  coding_unsupported: { code: 'not_implemented', section: 'RFC 9112 6.1' },
  coding_in_old_version: { code: 'malformed_request', section: 'RFC 9112 6.1' },
  connection_invalid: { code: 'malformed_request', section: 'RFC 9110 7.6.1' },
  upgrade_invalid: { code: 'malformed_request', section: 'RFC 9110 7.8' },
  expectation: { code: 'expectation_failed', section: 'RFC 9110 10.1.1' },
  chunk_size: { code: 'malformed_request', section: 'RFC 9112 7.1' },
  chunk_extension: { code: 'malformed_request', section: 'RFC 9112 7.1.1' },
  chunk_extension_too_long: { code: 'malformed_request', section: 'RFC 9112 7.1.1' },
  chunk_end: { code: 'malformed_request', section: 'RFC 9112 7.1' },
  trailer_forbidden: { code: 'malformed_request', section: 'RFC 9110 6.5.1' },
} as const satisfies Record<string, { readonly code: ProblemCode; readonly section: string }>;

export type RequestFault = keyof typeof requestFaults;

/** Beside the faults that requests share. */
export const responseFaults = {
  status_line: 'RFC 9112 4',
  status_code: 'RFC 9110 15',
  unasked_upgrade: 'RFC 9110 7.8',
  too_much_information: 'RFC 9110 15.2',
} as const;

export type ResponseFault = RequestFault | keyof typeof responseFaults;
