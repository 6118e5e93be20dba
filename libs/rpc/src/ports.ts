import type {
  AddAccountRequest,
  ListAccountsRequest,
  ListAccountsResponse,
  ListAliasesRequest,
  ListAliasesResponse,
  ListDomainsResponse,
  ListTransportsResponse,
  PutAliasRequest,
  PutDomainRequest,
  PutTransportRequest,
  RemoveAccountRequest,
  RemoveAliasRequest,
  RemoveDomainRequest,
  RemoveTransportRequest,
  SetAccountRequest,
} from './gen/angarium/directory/v1/admin.ts';
import type {
  AccountRequest,
  AccountResponse,
  AuthenticateRequest,
  AuthenticateResponse,
  CheckRequest,
  CheckResponse,
  ExpandRequest,
  ExpandResponse,
  OwnsRequest,
  OwnsResponse,
  TransportRequest,
  TransportResponse,
} from './gen/angarium/directory/v1/directory.ts';
import type { DeliverRequest, DeliverResponse } from './gen/angarium/mailbox/v1/mailbox.ts';
import type {
  DeleteRequest,
  DeleteResponse,
  FlushRequest,
  FlushResponse,
  LanesResponse,
  LimitsResponse,
  ListRequest,
  ListResponse,
  ResetLimitRequest,
  ResetLimitResponse,
  ResumeRequest,
  ResumeResponse,
  SetLimitRequest,
  ShowRequest,
  ShowResponse,
  SummaryResponse,
  SuspendRequest,
  SuspensionsResponse,
} from './gen/angarium/queue/v1/queue.ts';
import type { AskRequest, AskResponse, CollectRequest, CollectResponse } from './gen/angarium/quota/v1/quota.ts';

/*
 * The services as their callers see them: the same interface in one process and over the wire. A call that cannot be
 * answered rejects with `Unavailable`; a call that makes no sense with `Refused`.
 */

export interface Directory {
  check(request: CheckRequest): Promise<CheckResponse>;
  expand(request: ExpandRequest): Promise<ExpandResponse>;
  authenticate(request: AuthenticateRequest): Promise<AuthenticateResponse>;
  owns(request: OwnsRequest): Promise<OwnsResponse>;
  transport(request: TransportRequest): Promise<TransportResponse>;
  account(request: AccountRequest): Promise<AccountResponse>;
}

export interface DirectoryAdmin {
  listDomains(): Promise<ListDomainsResponse>;
  putDomain(request: PutDomainRequest): Promise<void>;
  removeDomain(request: RemoveDomainRequest): Promise<void>;
  listAccounts(request: ListAccountsRequest): Promise<ListAccountsResponse>;
  addAccount(request: AddAccountRequest): Promise<void>;
  setAccount(request: SetAccountRequest): Promise<void>;
  removeAccount(request: RemoveAccountRequest): Promise<void>;
  listAliases(request: ListAliasesRequest): Promise<ListAliasesResponse>;
  putAlias(request: PutAliasRequest): Promise<void>;
  removeAlias(request: RemoveAliasRequest): Promise<void>;
  listTransports(): Promise<ListTransportsResponse>;
  putTransport(request: PutTransportRequest): Promise<void>;
  removeTransport(request: RemoveTransportRequest): Promise<void>;
}

export interface Mailbox {
  /** `id` is the caller's affair in one process; the wire client sets it. */
  deliver(request: DeliverRequest): Promise<DeliverResponse>;
}

export interface Queue {
  list(request: ListRequest): Promise<ListResponse>;
  show(request: ShowRequest): Promise<ShowResponse>;
  flush(request: FlushRequest): Promise<FlushResponse>;
  suspend(request: SuspendRequest): Promise<void>;
  resume(request: ResumeRequest): Promise<ResumeResponse>;
  delete(request: DeleteRequest): Promise<DeleteResponse>;
  suspensions(): Promise<SuspensionsResponse>;
  limits(): Promise<LimitsResponse>;
  setLimit(request: SetLimitRequest): Promise<void>;
  resetLimit(request: ResetLimitRequest): Promise<ResetLimitResponse>;
  summary(): Promise<SummaryResponse>;
  lanes(): Promise<LanesResponse>;
}

/** Limits of the whole cluster, between its delivery workers. */
export interface Quota {
  ask(request: AskRequest): Promise<AskResponse>;
  collect(request: CollectRequest): Promise<CollectResponse>;
}

/** The service could not be asked, or cannot answer now. Whoever asked defers. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable';
}

/** The request was understood and refused; `message` is for the operator who made it. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly reason: 'invalid' | 'notFound' | 'exists';
  constructor(reason: Refused['reason'], message: string) {
    super(message);
    this.reason = reason;
  }
}
