import Documents
import Profiling

/// A few lines in the layout of each tool, with invented numbers: sizes, times and rates agree as they do in the tools.
enum Excerpt {
  /// nccl-tests up to 2.12 (columns `error`, no `#wrong`), 8 ranks, reduction without a root column.
  static let oldAllReduce = """
    # nThread 1 nGpus 8 minBytes 1 maxBytes 1048576 step: 2(factor) warmup iters: 5 iters: 20 validation: 0
    # Using devices
    #   Rank  0 Pid 10 on alpha device  0 [0x00] A100-SXM4-40GB
    #   Rank  1 Pid 10 on alpha device  1 [0x00] A100-SXM4-40GB
    #   Rank  2 Pid 10 on beta device  0 [0x00] A100-SXM4-40GB
    #   Rank  3 Pid 10 on beta device  1 [0x00] A100-SXM4-40GB
    #
    #                                                     out-of-place                       in-place
    #       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error
    #        (B)    (elements)                     (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
    alpha:1:1 [0] NCCL INFO Launch mode Parallel
               0             0   float     sum    35.20    0.00    0.00    N/A    34.05    0.00    0.00    N/A
            1024           256   float     sum    32.00    0.03    0.05    N/A    32.00    0.03    0.05    N/A
         1048576        262144   float     sum    80.00   13.11   19.66    N/A   100.00   10.49   15.73    N/A
    1073741824     268435456   float     sum    10000  107.37  161.06    N/A    10000  107.37  161.06    N/A
    # Out of bounds values : 0 OK
    # Avg bus bandwidth    : 1.0
    """

  /// The same time, all-to-all: neither reduction nor root.
  static let oldAllToAll = """
    #       size         count    type   redop     time   algbw   busbw  error     time   algbw   busbw  error
         1048576         65536   float             80.00   13.11    9.83    N/A    80.00   13.11    9.83    N/A
    """

  /// nccl-tests from 2.13 on, header cut off, ranks not listed; 96 ranks by bus over algorithm bandwidth.
  static let newAllReduce = """
    #       size         count      type   redop    root     time   algbw   busbw #wrong     time   algbw   busbw #wrong
    #        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)  (GB/s)  (GB/s)
       536870912     134217728     float     sum      -1   2684.4  200.00  395.83      0   2684.4  200.00  395.83      0
    """

  /// nccl-tests 2.17 with `-I 1` and `-S 1`: columns behind each half and a time stamp at the end.
  static let wideSendReceive = """
    # nccl-tests version 2.17.6 nccl-headers=22807 nccl-library=22807
    # Collective test starting: sendrecv_perf
    #  Rank  0 Group  0 Pid     10 on      alpha device  0 [0x19] NVIDIA H100 80GB HBM3
    #  Rank  1 Group  0 Pid     10 on       beta device  0 [0x19] NVIDIA H100 80GB HBM3
    #       size         count      type   redop    root     time   algbw   busbw  #wrong    min    max    p1    p2     time   algbw   busbw  #wrong    min    max    p1    p2
        67108864      16777216     float     sum      -1  1342.18   50.00   50.00       0   1.0    2.0   3.0   4.0  1342.18   50.00   50.00     N/A   1.0    2.0   3.0   4.0  2026-01-31
    """

  /// `-J` of nccl-tests 2.17; the environment holds what must not be copied.
  static let ncclJSON = """
    {"version": 3, "args": ["/opt/nccl-tests/build/all_gather_perf", "-b", "8"],
     "env": ["AWS_SECRET_ACCESS_KEY=do-not-copy"],
     "config": {"nthreads": 1, "ngpus": 1,
      "devices": [{"rank": 0, "hostname": "alpha", "device": 0}, {"rank": 1, "hostname": "beta", "device": 0}]},
     "results": [
       {"size": 8, "root": "    -1", "out_of_place": {"time": 10.0, "alg_bw": 0.0, "bus_bw": 0.0, "nwrong": "nan"}},
       {"size": 1048576, "root": "    -1", "out_of_place": {"time": 104.8576, "alg_bw": 10.0, "bus_bw": 5.0},
        "in_place": {"time": 52.4288, "alg_bw": 20.0, "bus_bw": 10.0}}],
     "out_of_bounds": {"count": 0, "okay": "true"}}
    """

  /// mpiGraph 1.5 of three processes, two of them on one host. Rates are MiB/s.
  static let mpiGraph = """
    [alpha:1] MCW rank 0 bound to socket 0
    START mpiGraph v1.5
    MsgSize\t1048576
    Procs\t3

    1 of 3 (33.3%)
    Send max\t1000.000000

    Send\talpha:0\talpha:1\tbeta:2\t
    alpha:0 to\t0.000\t9000.000\t1000.000\t
    alpha:1 to\t9000.000\t0.000\t1100.000\t
    beta:2 to\t500.000\t600.000\t0.000\t

    Recv\talpha:0\talpha:1\tbeta:2\t
    alpha:0 from\t0.000\t9000.000\t500.000\t
    alpha:1 from\t9000.000\t0.000\t700.000\t
    beta:2 from\t1000.000\t1300.000\t0.000\t
    END mpiGraph
    """

  static let osuBandwidth = """
    # OSU MPI-CUDA Bandwidth Test v7.5
    # Datatype: MPI_CHAR.
    # Size      Bandwidth (MB/s)        Validation
    1                       0.50              Pass
    4194304             20000.25              Pass
    """

  static let osuLatency = """
    # OSU MPI-CUDA Latency Test v7.5
    # Send Buffer on DEVICE (D) and Receive Buffer on DEVICE (D)
    # Size          Latency (us)
    1                       4.00
    4194304               182.27
    """

  /// With `-f`: minimum, maximum and iterations.
  static let osuAllGather = """
    # OSU MPI-CUDA Allgather Latency Test v7.5
    # Size       Avg Latency(us)   Min Latency(us)   Max Latency(us)  Iterations
    1024                   30.00             20.00             40.00        1000
    1048576               500.00            400.00            600.00         100
    """

  /// perftest, `ib_write_bw`: MB/sec is MiB/s.
  static let perftest = """
                        RDMA_Write BW Test
     Number of qps   : 1            Transport type : IB
     local address: LID 0x01 QPN 0x095e PSN 0xbd024b RKey 0x080258 VAddr 0x007fe62504b000
     remote address: LID 0x02 QPN 0x095f PSN 0x3c9e82 RKey 0x080359 VAddr 0x007f9fc479c000
     #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   MsgRate[Mpps]
     65536      2000             9000.00            8000.00\t\t   0.338685
     8388608    2000             11000.00           10000.00            0.002905
    """

  /// Both directions at once, `--report_gbits`: the sum of both.
  static let perftestBidirectional = """
                        RDMA_Write Bidirectional BW Test
     local address: LID 0000 QPN 0x0800 PSN 0x551dbe RKey 0x000143 VAddr 0x007fb3debff000
     remote address: LID 0000 QPN 0x0800 PSN 0x9755de RKey 0x00012d VAddr 0x007f5eff13f000
     #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]
     8388608    20000            400.00             380.00               0.005611
    """

  static let perftestLatency = """
                        RDMA_Write Latency Test
     #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]   99% percentile[usec]
     2       1000          1.50           5.39         1.75               1.80           0.05            2.47
    """

  static let nvbandwidth = """
    nvbandwidth Version: v0.6

    Running device_to_device_memcpy_write_ce.
    memcpy CE GPU(row) <- GPU(column) bandwidth (GB/s)
               0         1
     0      0.00    200.00
     1    100.00      0.00

    SUM device_to_device_memcpy_write_ce 300.00

    Waived:
    Running host_device_latency_sm.
    memory latency SM CPU(row) <-> GPU(column) (ns)
               0         1
     0    500.00    750.00
    """

  static let nvbandwidthJSON = """
    WARNING: messages {{{ before
    {"nvbandwidth": {"testcases": [
      {"name": "device_to_host_bidirectional_memcpy_ce", "status": "Passed",
       "bandwidth_description": "memcpy CE CPU(row) <-> GPU(column) bandwidth (GB/s) ",
       "bandwidth_matrix": [["11.5", "12.5"]]},
      {"name": "device_to_device_memcpy_read_ce", "status": "Passed",
       "bandwidth_description": "memcpy CE GPU(row) -> GPU(column) bandwidth (GB/s)",
       "bandwidth_matrix": [["N/A", "250"], ["240", "N/A"]]},
      {"name": "multinode", "status": "Waived"}]}}
    WARNING: and }}} after
    """

  static let nvidiaTopology =
    "\u{1B}[4mGPU0\tGPU1\tNIC0\tNIC1\tCPU Affinity\tNUMA Affinity\u{1B}[0m\n"
    + "GPU0\t X \tNV12\tPXB\tSYS\t0-15\t0\nGPU1\tNV12\t X \tSYS\tPIX\t16-31\t1\n"
    + "NIC0\tPXB\tSYS\t X \tSYS\t\t\nNIC1\tSYS\tPIX\tSYS\t X \t\t\n\nLegend:\n\n  X    = Self\n\n"
    + "NIC Legend:\n\n  NIC0: mlx5_0\n  NIC1: mlx5_1\n"

  static let ncclTopology = """
    <!-- a comment -->
    <system version="1">
      <cpu numaid="0">
        <pci busid="0000:a1:00.0" class="0x060400" link_speed="2.5 GT/s PCIe" link_width="1">
          <pci busid="0000:a3:00.0" class="0x020700" link_width="0">
            <nic><net name="mlx5_0" dev="0" speed="400000" port="1"/></nic>
          </pci>
          <pci busid="0000:a4:00.0" class="0x030200" link_width="0">
            <gpu dev="0" sm="90" rank="0"><nvlink target="0000:f5:00.0" count="10" tclass="0x068000"/>
              <nvlink target="0000:f6:00.0" count="8" tclass="0x068000"/></gpu>
          </pci>
        </pci>
      </cpu>
      <cpu numaid="1">
        <pci busid="0000:b4:00.0" class="0x030200">
          <gpu dev="1" sm="90" rank="1"><nvlink target="0000:f5:00.0" count="18" tclass="0x068000"/></gpu>
        </pci>
      </cpu>
    </system>
    """

  static let slurmTree = """
    # two halls
    SwitchName=root Switches=leaf[1-2]
    SwitchName=leaf1 Nodes=n[01-02] # the first
    SwitchName=leaf2 \\
      Nodes=n[03-04]
    """

  static let slurmBlocks = "BlockName=b1 Nodes=n[1-2]\nBlockName=b2 Nodes=n[3-4]\nBlockSizes=2,4\n"

  static let slurmYAML = """
    ---
    - topology: small
      cluster_default: false
      flat: true
    - topology: big
      cluster_default: true
      tree:
        switches:
          - switch: root
            children: s[1-2]
          - switch: s1
            nodes: a[1-3]
          - switch: s2
            nodes: a[4-6]
    """

  static let topograph = """
    switches:
      core:
        switches:
        - leaf-1
        - leaf-2
    blocks:
    - switch: leaf-1
      nodes:
      - node[1101-1102]
    - switch: leaf-2
      nodes:
      - node[1201-1202]
    """

  static let ibNetDiscover = """
    Switch  41 "S-01"         # "MF0;leaf-1:MQM8700/U1" enhanced port 0 lid 556 lmc 0
    [1]     "H-11"[1](11)                # "ALPHA ibp11s0f0" lid 1181 4xHDR s=4 w=2 v=4 e=4
    [9]     "H-12"[1](12)                # "BETA ibp11s0f0" lid 3191 4xHDR s=4 w=2 v=4 e=4
    [25]    "S-02"[1]         # "MF0;leaf-2:MQM8700/U1" lid 226 4xHDR s=4 w=2 v=4 e=4
    [41]    "H-13"[1](13)                # "Mellanox Technologies Aggregation Node" lid 2152 4xHDR s=4 w=2 v=2 e=4
    Switch  41 "S-02"         # "MF0;leaf-2:MQM8700/U1" enhanced port 0 lid 164 lmc 0
    [1]     "H-21"[1](21)                # "GAMMA ibp11s0f0" lid 516 4xHDR s=4 w=2 v=4 e=4
    """

  static let galvatron = """
    {"allreduce_size_8_consec_1": 150.5, "allreduce_size_8_consec_0": 20.5, "pp_size_2": 7.5}
    """

  /// All of them; each begins a fuzz.
  static let all: [(name: String, text: String)] = [
    ("oldAllReduce", oldAllReduce), ("oldAllToAll", oldAllToAll), ("newAllReduce", newAllReduce),
    ("wideSendReceive", wideSendReceive), ("ncclJSON", ncclJSON), ("mpiGraph", mpiGraph),
    ("osuBandwidth", osuBandwidth), ("osuLatency", osuLatency), ("osuAllGather", osuAllGather),
    ("perftest", perftest), ("perftestBidirectional", perftestBidirectional), ("perftestLatency", perftestLatency),
    ("nvbandwidth", nvbandwidth), ("nvbandwidthJSON", nvbandwidthJSON), ("nvidiaTopology", nvidiaTopology),
    ("ncclTopology", ncclTopology), ("slurmTree", slurmTree), ("slurmBlocks", slurmBlocks), ("slurmYAML", slurmYAML),
    ("topograph", topograph), ("ibNetDiscover", ibNetDiscover), ("galvatron", galvatron),
  ]

  /// What the readers make of a text.
  static func findings(_ text: String, source: String = "tool.log", _ context: ImportContext = ImportContext()) throws
    -> Findings
  {
    try ImportFormat.findings(of: ToolText(Array(text.utf8), source: source), context: context)
  }
}

extension ImportContext {
  init(hosts: [String] = [], ranks: Int? = nil, nodes: Int? = nil) {
    self.init()
    self.hosts = hosts
    rankCount = ranks
    nodeCount = nodes
  }
}
