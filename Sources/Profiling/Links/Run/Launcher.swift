/// What the launcher that started this process says of its place in the run.
package struct Launcher: Sendable, Equatable {
  package let rank: Int
  package let size: Int
  /// This process's number on its node, and how many there are; nil where the launcher does not say.
  package let localRank: Int?
  package let localSize: Int?
  /// What tells this run apart from others of the user; nil without a launcher.
  package let runName: String?
  /// Host names by rank, where there is one process per node; else empty.
  package let hostNames: [String]
  /// The part of the network this node is in, such as its leaf switch; empty when unknown.
  package let block: String

  /// A place that flags give.
  ///
  /// - Throws: ``LinkRunError/launcher(_:)`` when the numbers are out of range.
  package init(rank: Int, size: Int, hostNames: [String] = []) throws(LinkRunError) {
    try self.init(
      rank: rank, size: size, localRank: nil, localSize: nil, runName: nil, hostNames: hostNames, block: "")
  }

  /// What Open MPI or Slurm say in the environment; nil when neither started this process.
  ///
  /// Open MPI comes first: its `mpirun` inside a Slurm job leaves Slurm's variables in place.
  ///
  /// - Throws: ``LinkRunError/launcher(_:)`` when what they say makes no sense.
  package init?(environment: [String: String]) throws(LinkRunError) {
    if let rank = environment["OMPI_COMM_WORLD_RANK"] {
      try self.init(
        rank: Self.number(rank, "OMPI_COMM_WORLD_RANK"), size: Self.number("OMPI_COMM_WORLD_SIZE", of: environment),
        localRank: environment["OMPI_COMM_WORLD_LOCAL_RANK"].flatMap(Int.init),
        localSize: environment["OMPI_COMM_WORLD_LOCAL_SIZE"].flatMap(Int.init),
        runName: environment["PMIX_NAMESPACE"].map { "openmpi-\($0)" }, hostNames: [],
        block: Self.slurmBlock(environment))
      return
    }
    guard let rank = environment["SLURM_PROCID"] else { return nil }
    // In a batch script, outside of srun, a process is told to be rank 0 of as many as the job has tasks.
    guard let step = environment["SLURM_STEP_ID"] ?? environment["SLURM_STEPID"] else {
      throw .launcher("inside a Slurm job, but not started by srun: srun --ntasks-per-node=1 sextant profile links …")
    }
    let size = try Self.number("SLURM_NTASKS", "SLURM_STEP_NUM_TASKS", of: environment)
    let list = environment["SLURM_STEP_NODELIST"] ?? environment["SLURM_NODELIST"] ?? environment["SLURM_JOB_NODELIST"]
    let names = try list.map { (text) throws(LinkRunError) in try hosts(inList: text) } ?? []
    let localSize = environment["SLURM_STEP_TASKS_PER_NODE"].flatMap { Int($0.prefix { $0.isNumber }) }
    try self.init(
      rank: Self.number(rank, "SLURM_PROCID"), size: size,
      localRank: environment["SLURM_LOCALID"].flatMap(Int.init), localSize: localSize,
      runName: environment["SLURM_JOB_ID"].map { "slurm-\($0).\(step)" },
      hostNames: names.count == size ? names : [], block: Self.slurmBlock(environment))
  }

  private init(
    rank: Int, size: Int, localRank: Int?, localSize: Int?, runName: String?, hostNames: [String], block: String
  ) throws(LinkRunError) {
    guard (1...16_384).contains(size) else { throw .launcher("a run has 1 to 16384 processes, not \(size)") }
    guard (0..<size).contains(rank) else { throw .launcher("a rank is from 0 to \(size - 1), not \(rank)") }
    self.rank = rank
    self.size = size
    self.localRank = localRank
    self.localSize = localSize
    self.runName = runName
    self.hostNames = hostNames
    self.block = block
  }

  /// What a process on this host is called: the host's name, with its number where the host has several.
  package func nodeName(hostName: String) -> String {
    guard let localRank, let localSize, localSize > 1 else { return hostName }
    return "\(hostName)#\(localRank)"
  }

  /// Whether all processes are on this machine.
  package var isOnOneMachine: Bool { localSize == size }

  /// The switches above the node, without the node itself: `s0.s4.node17` says `s0.s4`.
  private static func slurmBlock(_ environment: [String: String]) -> String {
    guard let address = environment["SLURM_TOPOLOGY_ADDR"], environment["SLURM_TOPOLOGY_ADDR_PATTERN"] != "node"
    else { return "" }
    return String(address.split(separator: ".").dropLast().joined(separator: ".").prefix(200))
  }

  private static func number(_ names: String..., of environment: [String: String]) throws(LinkRunError) -> Int {
    for name in names { if let text = environment[name] { return try number(text, name) } }
    throw .launcher("the launcher set a rank, but not \(names[0])")
  }

  private static func number(_ text: String, _ name: String) throws(LinkRunError) -> Int {
    guard let number = Int(text), number >= 0 else { throw .launcher("\(name): expected a number, found \"\(text)\"") }
    return number
  }
}
