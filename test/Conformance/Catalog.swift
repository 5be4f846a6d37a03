/// All checks, in the order in which they run.
enum Catalog {
    static let topics = [
        IdentityChecks.topic, RefusalChecks.topic, MissingChecks.topic, LimitChecks.topic, NameChecks.topic,
        CreationChecks.topic, TopologyChecks.topic, CapacityChecks.topic, ListChecks.topic, AttachChecks.topic,
        ValidationChecks.topic, MountChecks.topic, PublishChecks.topic, TargetChecks.topic, BlockChecks.topic,
        StatsChecks.topic,
        ExpansionChecks.topic, SnapshotChecks.topic, SnapshotListChecks.topic, CopyChecks.topic, ModifyChecks.topic,
        EphemeralChecks.topic, ConcurrencyChecks.topic, SecretChecks.topic, TwiceChecks.topic, PairChecks.topic,
    ]
}
