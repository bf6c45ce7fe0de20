"""others: placeholder"""
