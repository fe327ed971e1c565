"""What travels between dispatcher and agents, and what carries it.

`messages` holds the values, `codec` turns them into JSON and back, `topology` names the queues and exchanges,
`transport` is the contract that the two implementations, `amqp` and `embedded`, fulfil. Imports nothing of ours.
"""
